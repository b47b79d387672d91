#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include <neuroinhib/io/file.hpp>

#include "../../picture.hpp"
#include "../../words.hpp"
#include "rows.hpp"

namespace mixed_numbers {

using namespace papers;

namespace {

std::string percent(const char* format, double share) {
  char text[64];
  std::snprintf(text, sizeof text, format, 100 * share);
  return text;
}

/// A run's place in the results: by row, then by seed.
std::pair<std::ptrdiff_t, Index> place(const nlohmann::json& run) {
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return run.at("row") == r.name; });
  return {row - kRows.begin(), run.at("seed").get<Index>()};
}

std::string mean_and_deviation(double mean, double deviation) {
  return percent("%.1f", mean) + percent(" ± %.1f", deviation);
}

}  // namespace

Report::Report(const OutputFolder& folder, const Settings& settings, const std::string& source, const std::string& data,
               const std::string& machine)
    : results_(folder, settings, "mixed_numbers",
               {{"key", settings.key() + ", data " + data},
                {"data", source},
                {"recipe", settings.recipe},
                {"squares", settings.squares},
                {"epochs", settings.epochs},
                {"samples", settings.samples},
                {"batch", settings.batch},
                {"learning_rate", settings.learning_rate}},
               machine) {}

void Report::add(nlohmann::json run) {
  // Replicas end in any order; the file does not depend on it.
  results_.add(std::move(run),
               [](const nlohmann::json& one, const nlohmann::json& other) { return place(one) < place(other); });
}

void Report::show() const {
  const std::string text = results_.look([&] { return table(); });
  neuroinhib::io::write_file(results_.folder().file("table.md"), text);
  std::printf("\n%s\nresults in %s\n", text.c_str(), results_.folder().path().c_str());
  results_.look([&] { draw_test(), draw_curves(); });
}

std::vector<double> Report::values(std::string_view row, const char* measure) const {
  std::vector<double> all;
  for (const auto& run : results_.runs())
    if (run.at("row") == row) all.push_back(number_in(run.at(measure)));
  return all;
}

std::string Report::table() const {
  std::vector<std::string> rows;
  for (const Row& row : kRows) rows.emplace_back(row.name);
  std::string text = "Mixed numbers, test accuracy in %.\n\nOurs: " + results_.settings().at("key").get<std::string>() +
                     ". Published: 120,000 samples, 35 epochs, 5 seeds. Machine: " + results_.machines(rows) + ".\n\n";
  const auto add = [&](const char* title, const std::string& published, const std::string& ours,
                       const std::string& difference, const std::string& digits, const std::string& squares,
                       const std::string& seeds) {
    char first[32];
    std::snprintf(first, sizeof first, "| %-22s | ", title);
    text += first + pad(published, 11) + " | " + pad(ours, 11) + " | " + pad(difference, 10) + " | " + pad(digits, 6) +
            " | " + pad(squares, 7) + " | " + pad(seeds, 5) + " |\n";
  };
  add("Row", "published", "ours", "difference", "digits", "squares", "seeds");
  text += "|------------------------|------------:|------------:|-----------:|-------:|--------:|------:|\n";
  for (const Row& row : kRows) {
    const Summary test(values(row.name, "test"));
    if (test.count == 0) continue;
    add(row.title.data(), mean_and_deviation(row.published, row.published_deviation),
        test.count > 1 ? mean_and_deviation(test.mean, test.deviation) : percent("%.1f", test.mean),
        percent("%+.1f", test.mean - row.published), percent("%.1f", Summary(values(row.name, "digits")).mean),
        percent("%.1f", Summary(values(row.name, "squares")).mean), std::to_string(test.count));
  }
  return text + comparisons();
}

std::vector<double> Report::differences(std::string_view row, std::string_view other) const {
  std::vector<double> all;
  for (const auto& run : results_.runs())
    for (const auto& against : results_.runs())
      if (run.at("row") == row && against.at("row") == other && run.at("seed") == against.at("seed"))
        all.push_back(number_in(run.at("test")) - number_in(against.at("test")));
  return all;
}

std::string Report::comparisons() const {
  std::string lines;
  const auto add = [&](const Row& row, std::string_view other, std::string_view title) {
    const Summary paired(differences(row.name, other));
    if (paired.count < 2) return;
    const double half = half_interval(paired);
    lines.append("- ").append(row.title).append(" − ").append(title);
    lines += percent(": %+.2f", paired.mean) + percent(" ± %.2f", half);
    lines += std::abs(paired.mean) > half ? "\n" : ", not decided\n";
  };
  for (const Row& row : kRows)
    if (row.name != "moe") add(row, "moe", "MoE");
  add(kRows.back(), "glu", "GLU");
  return lines.empty() ? lines : "\nPaired by seed, points with 95 % intervals (Student's t):\n\n" + lines;
}

std::string Report::definitions(const std::string& what) const {
  const auto& s = results_.settings();
  const auto epochs = s.at("epochs").get<Index>();
  return "title = " + for_gnuplot("Mixed numbers, recipe " + s.at("recipe").get<std::string>() + ": " + what) +
         ".\"\\n\"." +
         for_gnuplot(s.at("data").get<std::string>() + ", " + readable(s.at("samples").get<Index>()) + " samples, " +
                     readable(epochs) + (epochs == 1 ? " epoch" : " epochs")) +
         "\nepochs = " + std::to_string(epochs) + "\n";
}

void Report::draw_test() const {
  // Columns: title, then mean and deviation as published, of all images, of digits and of squares.
  std::string rows = "$rows << EOD\n", seeds = "$seeds << EOD\n";
  int place = 0;
  for (const Row& row : kRows) {
    const std::vector measured{values(row.name, "test"), values(row.name, "digits"), values(row.name, "squares")};
    if (measured[0].empty()) continue;
    rows += '"' + std::string(row.title) + '"' + percent(" %.4f", row.published) +
            percent(" %.4f", row.published_deviation);
    for (const auto& measure : measured) {
      const Summary summary(measure);
      rows += percent(" %.4f", summary.mean) + percent(" %.4f", summary.deviation);
    }
    rows += "\n";
    for (std::size_t i = 0; i < measured[0].size(); ++i) {
      seeds += std::to_string(place);
      for (const auto& measure : measured) seeds += percent(" %.4f", measure[i]);
      seeds += "\n";
    }
    ++place;
  }
  draw(results_.folder(), "test", "1200,480", definitions("test accuracy, %") + rows + "EOD\n" + seeds + "EOD\n", R"(
set multiplot layout 1,3 margins .17,.98,.18,.8 spacing .03 title title
set grid
set xrange [0<*:*<101]
stats $rows using 0 nooutput
set yrange [STATS_records - .4 : -.6]
set key at screen .5, .05 center horizontal maxrows 1
set style line 1 pointtype 6 pointsize 1.2 linewidth 1.5 linecolor rgb '#d55e00'
set style line 2 pointtype 7 pointsize .45 linecolor rgb '#a0a0a0'
set style line 3 pointtype 7 pointsize 1.2 linewidth 1.5 linecolor rgb '#0072b2'
set title 'all images'
plot $rows using 2:($0 - .2):3 with xerrorbars linestyle 1 title 'published, with deviation', \
     $seeds using 2:1 with points linestyle 2 title 'each seed', \
     $rows using 4:0:5:ytic(1) with xerrorbars linestyle 3 title 'ours, with deviation'
set ytics 1 format ''
unset key
set title 'digits'
plot $seeds using 3:1 with points linestyle 2, $rows using 6:0:7 with xerrorbars linestyle 3
set title 'squares'
plot $seeds using 4:1 with points linestyle 2, $rows using 8:0:9 with xerrorbars linestyle 3
unset multiplot
)");
}

void Report::draw_curves() const {
  std::string blocks = "$curves << EOD\n";
  int rows = 0;
  for (const Row& row : kRows) {
    const std::string lines = curve(row.name);
    if (lines.empty()) continue;
    blocks += '"' + std::string(row.title) + "\"\n" + lines + "\n\n";
    ++rows;
  }
  draw(results_.folder(), "curves", "1200,520",
       definitions("validation accuracy by epoch, %; bands: one deviation over seeds") + blocks +
           "EOD\nrows = " + std::to_string(rows) + "\n",
       R"(
set multiplot layout 1,2 margins .06,.77,.12,.82 spacing .05 title title
colours = '#000000 #0072b2 #56b4e9 #009e73 #f0e442 #e69f00 #d55e00 #cc79a7'
set grid
set xlabel 'epoch'
set yrange [0<*:*<101]
set style fill transparent solid .1 noborder
set style data lines
if (epochs <= 10) { set xtics 1; set style data linespoints }
unset key
set title 'digits'
plot for [row = 1 : rows] $curves index row - 1 using 1:3:4 with filledcurves linecolor rgb word(colours, row), \
     for [row = 1 : rows] $curves index row - 1 using 1:2 linewidth 2 linecolor rgb word(colours, row)
set key at screen .99, .5 right center
set title 'squares'
plot for [row = 1 : rows] $curves index row - 1 using 1:6:7 with filledcurves linecolor rgb word(colours, row) notitle, \
     for [row = 1 : rows] $curves index row - 1 using 1:5 linewidth 2 linecolor rgb word(colours, row) title columnheader(1)
unset multiplot
)");
}

std::string Report::curve(std::string_view row) const {
  std::vector<nlohmann::json> runs;
  for (const auto& run : results_.runs())
    if (run.at("row") == row) runs.push_back(run);
  std::string lines;
  for (std::size_t epoch = 0; !runs.empty() && epoch < runs[0].at("digits_curve").size(); ++epoch) {
    lines += std::to_string(epoch + 1);
    for (const char* measure : {"digits_curve", "squares_curve"}) {
      std::vector<double> seeds;
      for (const auto& run : runs) seeds.push_back(number_in(run.at(measure).at(epoch)));
      const Summary summary(seeds);
      lines += percent(" %.4f", summary.mean) + percent(" %.4f", summary.mean - summary.deviation) +
               percent(" %.4f", summary.mean + summary.deviation);
    }
    lines += "\n";
  }
  return lines;
}

}  // namespace mixed_numbers
