#include "report.hpp"

#include <algorithm>
#include <array>
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
    if (run.at("row") == row) all.push_back(run.at(measure));
  return all;
}

std::string Report::table() const {
  std::vector<std::string> rows;
  for (const Row& row : kRows) rows.emplace_back(row.name);
  std::string text = "Mixed numbers, test accuracy in %.\n\nOurs: " + results_.settings()["key"].get<std::string>() +
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
        all.push_back(run.at("test").get<double>() - against.at("test").get<double>());
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

std::string Report::title(const std::string& what) const {
  const auto& s = results_.settings();
  return for_gnuplot("Mixed numbers, recipe " + s["recipe"].get<std::string>() + ": " + what) + ".\"\\n\"." +
         for_gnuplot(s["data"].get<std::string>() + ", " + readable(s["samples"].get<Index>()) + " samples, " +
                     readable(s["epochs"].get<Index>()) + " epochs");
}

void Report::draw_test() const {
  std::string runs = "$runs << EOD\n", means = "$means << EOD\n", published = "$published << EOD\n", names;
  int place = 0;
  for (const Row& row : kRows) {
    const auto all = values(row.name, "test"), digits = values(row.name, "digits"),
               squares = values(row.name, "squares");
    if (all.empty()) continue;
    ++place;
    const std::string at = std::to_string(place);
    for (std::size_t i = 0; i < all.size(); ++i)
      runs += at + percent(" %.4f", all[i]) + percent(" %.4f", digits[i]) + percent(" %.4f", squares[i]) + "\n";
    means += at;
    for (const auto& measure : {all, digits, squares}) {
      const Summary summary(measure);
      means += percent(" %.4f", summary.mean) + percent(" %.4f", summary.deviation);
    }
    means += "\n";
    published += at + percent(" %.4f", row.published) + percent(" %.4f", row.published_deviation) + "\n";
    names += (place > 1 ? ", " : "") + for_gnuplot(std::string(row.title)) + " " + at;
  }
  const std::string end = "EOD\n";
  const auto panel = [](const std::string& what, int column) {
    const std::string mean = std::to_string(2 * column), deviation = std::to_string(2 * column + 1);
    return "set title '" + what + "'\nplot " +
           (column == 1 ? "$published using 2:($1-.18):3 with xerrorbars pointtype 6 pointsize 1.2 linewidth 1.5 "
                          "linecolor rgb '#d55e00' title 'published', "
                        : "") +
           "$runs using " + std::to_string(column + 1) +
           ":1 with points pointtype 7 pointsize .45 linecolor rgb '#a0a0a0' title 'each seed', $means using " + mean +
           ":1:" + deviation +
           " with xerrorbars pointtype 7 pointsize 1.2 linewidth 1.5 linecolor rgb '#0072b2' title 'ours'\n";
  };
  draw(
      results_.folder(), "test", "1200,480", runs + end + means + end + published + end,
      "set multiplot layout 1,3 margins .15,.98,.2,.8 spacing .03 title " + title("test accuracy, %") +
          "\nset yrange [" + std::to_string(place) + ".6:0.4]\nset ytics (" + names +
          ")\nset grid x\nset offsets graph .05, graph .05, 0, 0\nset key bottom left at screen .15, .03 horizontal\n" +
          panel("all images", 1) + "set format y ''\nunset key\n" + panel("digits", 2) + panel("squares", 3) +
          "unset multiplot\nset format y\n");
}

void Report::draw_curves() const {
  constexpr std::array<const char*, kRows.size()> kColours{"#000000", "#0072b2", "#56b4e9", "#009e73",
                                                           "#f0e442", "#e69f00", "#d55e00", "#cc79a7"};
  const bool few = results_.settings()["epochs"].get<Index>() <= 10;
  std::string blocks;
  const auto panel = [&](const char* what) {
    std::string bands, lines;
    for (std::size_t r = 0; r < kRows.size(); ++r) {
      const std::string points = curve(kRows[r].name, (std::string(what) + "_curve").c_str()),
                        block = "$" + std::string(what) + "_" + std::string(kRows[r].name),
                        colour = std::string(" linecolor rgb '") + kColours[r] + "'";
      if (points.empty()) continue;
      blocks += block + " << EOD\n" + points + "EOD\n";
      bands +=
          block + " using 1:3:4 with filledcurves fillstyle transparent solid .15 noborder" + colour + " notitle, ";
      lines += std::string(lines.empty() ? "" : ", ") + block + " using 1:2 with " + (few ? "linespoints" : "lines") +
               " linewidth 2" + colour + " title " + for_gnuplot(std::string(kRows[r].title));
    }
    return std::string("set title '") + what + "'\nplot " + bands + lines + "\n";
  };
  const std::string digits = panel("digits"), squares = panel("squares");
  draw(results_.folder(), "curves", "1200,520", blocks,
       "set multiplot layout 1,2 margins .06,.8,.12,.82 spacing .06 title " +
           title("validation accuracy by epoch, %; bands: one deviation over seeds") +
           "\nset xlabel 'epoch'\nset grid\n" + (few ? "set xtics 1\n" : "") + "unset key\n" + digits +
           "set key outside right center\n" + squares + "unset multiplot\n");
}

std::string Report::curve(std::string_view row, const char* measure) const {
  std::vector<std::vector<double>> curves;
  for (const auto& run : results_.runs())
    if (run.at("row") == row) curves.push_back(run.at(measure).get<std::vector<double>>());
  std::string lines;
  for (std::size_t epoch = 0; !curves.empty() && epoch < curves[0].size(); ++epoch) {
    std::vector<double> seeds;
    for (const auto& one : curves) seeds.push_back(one.at(epoch));
    const Summary summary(seeds);
    lines += std::to_string(epoch + 1) + percent(" %.4f", summary.mean) +
             percent(" %.4f", summary.mean - summary.deviation) + percent(" %.4f\n", summary.mean + summary.deviation);
  }
  return lines;
}

}  // namespace mixed_numbers
