#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include <neuroinhib/io/file.hpp>

#include "../../picture.hpp"
#include "../../verdicts.hpp"
#include "../../words.hpp"
#include "rows.hpp"
#include "run_log.hpp"

namespace mixed_numbers {

using namespace papers;

namespace {

std::string percent(const char* format, double share) {
  return text(format, 100 * share);
}

/// A run's place in the results: by row, then by seed.
std::pair<std::ptrdiff_t, Index> place(const nlohmann::json& run) {
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return run.at("row") == r.name; });
  return {row - kRows.begin(), run.at("seed").get<Index>()};
}

/// The share of right answers at which a run is said to have lost a number of squares.
constexpr double kLost = 0.05;

bool has_lost_a_number(const nlohmann::json& run) {
  const auto shares = numbers_in(run.at("of_squares"));
  return std::any_of(shares.begin(), shares.end(), [](double share) { return share < kLost; });
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

std::string mean_and_deviation(double mean, double deviation) {
  return percent("%.1f", mean) + percent(" ± %.1f", deviation);
}

}  // namespace

Report::Report(const OutputFolder& folder, const Settings& settings, const std::string& source, const std::string& data,
               const std::string& machine)
    : command_(settings.command),
      results_(folder, settings, settings.program, described(settings, source, data), machine) {}

void Report::add(nlohmann::json run) {
  const auto number = [&](const char* name) { return run.at(name).get<double>(); };
  std::printf("%-9s seed %td: test %.2f %% (digits %.2f, squares %.2f), %.0f s, %.2f ms a step\n",
              run.at("row").get<std::string>().c_str(), run.at("seed").get<Index>(), 100 * number("test"),
              100 * number("digits"), 100 * number("squares"), number("seconds"), number("step_ms"));
  // Replicas end in any order; the file does not depend on it.
  results_.add(std::move(run),
               [](const nlohmann::json& one, const nlohmann::json& other) { return place(one) < place(other); });
}

void Report::show() {
  results_.conclude(results_.look([&] { return verdicts(); }));
  const std::string text = results_.look([&] { return table(); });
  neuroinhib::io::write_file(results_.folder().file("table.md"), text);
  std::printf("\n%s\nresults in %s\n", text.c_str(), results_.folder().path().c_str());
  results_.look([&] { draw_test(), draw_curves(), draw_numbers(); });
}

std::vector<double> Report::values(std::string_view row, const char* measure) const {
  return results_.values(row, [measure](const auto& run) { return number_in(run.at(measure)); });
}

std::string Report::table() const {
  std::vector<std::string> rows;
  for (const Row& row : kRows) rows.emplace_back(row.name);
  std::string text = "Mixed numbers, test accuracy in %.\n\nOurs: " + results_.settings().at("key").get<std::string>() +
                     ". Published: 120,000 samples, 35 epochs, 5 seeds. Machine: " + results_.machines(rows) + ".\n\n";
  const auto add = [&](const char* title, const std::string& published, const std::string& ours,
                       const std::string& difference, const std::string& middle, const std::string& lost,
                       const std::string& digits, const std::string& squares, const std::string& seeds) {
    char first[32];
    std::snprintf(first, sizeof first, "| %-22s | ", title);
    text += first + pad(published, 11) + " | " + pad(ours, 11) + " | " + pad(difference, 10) + " | " + pad(middle, 6) +
            " | " + pad(lost, 4) + " | " + pad(digits, 6) + " | " + pad(squares, 7) + " | " + pad(seeds, 5) + " |\n";
  };
  add("Row", "published", "ours", "difference", "median", "lost", "digits", "squares", "seeds");
  text +=
      "|------------------------|------------:|------------:|-----------:|-------:|-----:|-------:|--------:|------:|"
      "\n";
  for (const Row& row : kRows) {
    const std::vector<double> each = values(row.name, "test");
    const Summary test(each);
    if (test.count == 0) continue;
    const auto lost = std::count_if(results_.runs().begin(), results_.runs().end(), [&](const auto& run) {
      return run.at("row") == row.name && has_lost_a_number(run);
    });
    add(row.title.data(),
        row.is_published() ? mean_and_deviation(row.published, row.published_deviation) : std::string("–"),
        test.count > 1 ? mean_and_deviation(test.mean, test.deviation) : percent("%.1f", test.mean),
        row.is_published() ? percent("%+.1f", test.mean - row.published) : std::string("–"),
        percent("%.1f", median(each)), std::to_string(lost), percent("%.1f", Summary(values(row.name, "digits")).mean),
        percent("%.1f", Summary(values(row.name, "squares")).mean), std::to_string(test.count));
  }
  return text + "\nLost: runs that answer a number of squares right in less than " + percent("%.0f", kLost) +
         " % of its images.\n\n" + verdict_tables(verdicts()) + comparisons();
}

std::vector<double> Report::differences(std::string_view row, std::string_view other) const {
  return results_.differences(row, other, [](const auto& run) { return number_in(run.at("test")); });
}

nlohmann::json Report::verdicts() const {
  std::vector<Comparison> comparisons;
  for (const auto& [name, other_name] : kClaims) {
    const Row &row = row_of(name), &other = row_of(other_name);
    std::vector<double> points = differences(name, other_name);
    if (points.empty()) continue;
    for (double& value : points) value *= 100;
    const auto published = [](const Row& r) {
      return Published{100 * r.published, 100 * r.published_deviation, kPublishedRuns};
    };
    comparisons.push_back(compare(
        claim_of(std::string(row.title) + " − " + std::string(other.title), published(row), published(other)), points));
  }
  return verdicts_json({"Neural Inhibition, table 1, recipe " + results_.settings().at("recipe").get<std::string>(),
                        scale(), command_, "test accuracy in points"},
                       comparisons);
}

std::string Report::scale() const {
  constexpr Index kSamples = 120000, kEpochs = 35;
  const auto& s = results_.settings();
  const auto samples = s.at("samples").get<Index>(), epochs = s.at("epochs").get<Index>();
  const auto number = [](Index n, const char* one) { return readable(n) + " " + one + (n == 1 ? "" : "s"); };
  return s.at("data").get<std::string>() + ", " + number(samples, "image") + " and " + number(epochs, "epoch") +
         (samples == kSamples && epochs == kEpochs ? ", as published" : " instead of 120,000 and 35");
}

std::string Report::comparisons() const {
  std::string lines;
  for (const Row& row : kRows)
    for (const std::string_view other : {"moe", "glu", "global"}) {
      const Summary paired(differences(row.name, other));
      if (row.is_published() || paired.count < 2) continue;
      lines.append("- ").append(row.title).append(" − ").append(row_of(other).title);
      lines += percent(": %+.2f", paired.mean) + percent(" ± %.2f", half_interval(paired)) + "\n";
    }
  return lines.empty() ? lines : "\nNot published, points paired by seed with 95 % intervals:\n\n" + lines;
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
    rows += '"' + std::string(row.title) + '"' +
            (row.is_published() ? percent(" %.4f", row.published) + percent(" %.4f", row.published_deviation)
                                : std::string(" NaN NaN"));
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
colours = '#000000 #0072b2 #56b4e9 #009e73 #f0e442 #e69f00 #d55e00 #cc79a7 #882255 #999999'
colour(row) = word(colours, (row - 1) % words(colours) + 1)
set grid
set xlabel 'epoch'
set yrange [0<*:*<101]
set style fill transparent solid .1 noborder
set style data lines
if (epochs <= 10) { set xtics 1; set style data linespoints }
unset key
set title 'digits'
plot for [row = 1 : rows] $curves index row - 1 using 1:3:4 with filledcurves linecolor rgb colour(row), \
     for [row = 1 : rows] $curves index row - 1 using 1:2 linewidth 2 linecolor rgb colour(row)
set key at screen .99, .5 right center
set title 'squares'
plot for [row = 1 : rows] $curves index row - 1 using 1:6:7 with filledcurves linecolor rgb colour(row) notitle, \
     for [row = 1 : rows] $curves index row - 1 using 1:5 linewidth 2 linecolor rgb colour(row) title columnheader(1)
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

void Report::draw_numbers() const {
  std::string cells = "$cells << EOD\n", names = "$names << EOD\n";
  Index line = 0;
  for (const Row& row : kRows) {
    std::vector<nlohmann::json> runs;
    for (const auto& run : results_.runs())
      if (run.at("row") == row.name) runs.push_back(run);
    if (runs.empty()) continue;
    std::sort(runs.begin(), runs.end(), [](const auto& one, const auto& other) {
      return number_in(one.at("test")) > number_in(other.at("test"));
    });
    names += '"' + std::string(row.title) + "\" " +
             shortest(static_cast<double>(line) + static_cast<double>(runs.size() - 1) / 2) + " " +
             std::to_string(line) + "\n";
    for (const auto& run : runs) {
      const auto shares = numbers_in(run.at("of_squares"));
      for (std::size_t c = 0; c < shares.size(); ++c)
        cells += std::to_string(c) + " " + std::to_string(line) + percent(" %.2f", shares[c]) + "\n";
      ++line;
    }
  }
  const Index first = results_.settings().at("squares") == "clean" ? 0 : 1;
  draw(results_.folder(), "numbers",
       "760," + std::to_string(170 + std::max<Index>(14, 220 / std::max<Index>(line, 1)) * line),
       definitions("accuracy of each number of squares, %") + cells + "EOD\n" + names +
           "EOD\nlines = " + std::to_string(line) + "\nfirst = " + std::to_string(first) + "\n",
       R"(
set title title
set lmargin 26
set xlabel 'squares in the image'
set xrange [-.5:9.5]
set yrange [lines - .5:-.5]
set xtics ('' 0)
set for [n = 0 : 9] xtics add (sprintf('%d', n + first) n)
set tics scale 0
set cbrange [0:100]
set palette defined (0 '#1a1a1a', 20 '#7f2704', 60 '#f16913', 90 '#fee6ce', 100 '#ffffff')
plot $cells using 1:2:3 with image pixels notitle, $names using (-.5):2:ytic(1) with points pointtype -1 notitle, \
     $names using (-.5):($3 - .5):(10):(0) with vectors nohead linewidth 2 linecolor rgb '#0072b2' notitle
)");
}

}  // namespace mixed_numbers
