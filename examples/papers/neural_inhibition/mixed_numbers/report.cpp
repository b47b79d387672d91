#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <neuroinhib/io/file.hpp>

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

Report::Report(const Settings& settings, const std::string& source, const std::string& machine)
    : settings_(settings),
      results_(settings.out, "mixed_numbers", settings.key() + ", data " + source, machine, settings.resumes()) {
  results_.json()["settings"].update({{"data", source},
                                      {"recipe", settings.recipe},
                                      {"squares", settings.squares},
                                      {"epochs", settings.epochs},
                                      {"seeds", settings.seeds},
                                      {"samples", settings.samples},
                                      {"batch", settings.batch},
                                      {"learning_rate", settings.learning_rate},
                                      {"threads", settings.threads}});
  results_.save();
}

void Report::add(nlohmann::json run) {
  results_.add(std::move(run));
  // Replicas end in any order; the file does not depend on it.
  auto& runs = results_.json()["runs"].get_ref<nlohmann::json::array_t&>();
  std::sort(runs.begin(), runs.end(),
            [](const nlohmann::json& a, const nlohmann::json& b) { return place(a) < place(b); });
  results_.save();
}

void Report::show() const {
  const std::string text = results_.look([&] { return table(); });
  neuroinhib::io::write_file(results_.path("table.md"), text);
  std::printf("\n%s\nresults in %s\n", text.c_str(), settings_.out.string().c_str());
  draw_curves();
}

std::vector<double> Report::values(std::string_view row, const char* measure) const {
  std::vector<double> all;
  for (const auto& run : results_.runs())
    if (run.at("row") == row) all.push_back(run.at(measure));
  return all;
}

std::string Report::table() const {
  const auto& s = results_.json()["settings"];
  std::string text =
      "Mixed numbers, test accuracy in %.\n\nOurs: " + s["key"].get<std::string>() +
      ". Published: 120,000 samples, 35 epochs, 5 seeds. Machine: " + results_.json()["machine"].get<std::string>() +
      ".\n\n";
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

std::string Report::curve(std::string_view row) const {
  std::vector<std::vector<double>> curves;
  for (const auto& run : results_.runs())
    if (run.at("row") == row) curves.push_back(run.at("validation_curve").get<std::vector<double>>());
  std::string lines;
  for (std::size_t epoch = 0; !curves.empty() && epoch < curves[0].size(); ++epoch) {
    double mean = 0;
    for (const auto& one : curves) mean += one[epoch] / static_cast<double>(curves.size());
    lines.append(std::to_string(epoch + 1)).append(" ").append(std::to_string(100 * mean)).append("\n");
  }
  return lines;
}

void Report::draw_curves() const {
  std::string blocks, plots;
  for (const Row& row : kRows) {
    const std::string name(row.name), lines = curve(row.name);
    if (lines.empty()) continue;
    blocks.append("$").append(name).append(" << EOD\n").append(lines).append("EOD\n");
    plots.append(plots.empty() ? "plot $" : ", $").append(name);
    plots.append(" with linespoints linewidth 2 title \"").append(row.title).append("\"");
  }
  neuroinhib::io::write_file(results_.path("curves.gnuplot"),
                             blocks + "set terminal pngcairo size 1000,640 font \",12\"\nset output \"" +
                                 results_.path("curves.png").string() + "\"\nset title \"Mixed numbers, recipe " +
                                 settings_.recipe + ", " + results_.json()["settings"]["data"].get<std::string>() +
                                 "\" noenhanced\nset xlabel \"epoch\"\nset ylabel \"validation accuracy, %\"\nset key "
                                 "outside right\nset grid\n" +
                                 (settings_.epochs <= 10 ? "set xtics 1\n" : "") + plots + "\n");
  const std::string command = "gnuplot '" + results_.path("curves.gnuplot").string() + "' 2>/dev/null";
  if (std::system(command.c_str()) == 0)
    std::printf("curves in %s\n", results_.path("curves.png").string().c_str());
  else
    std::printf("no picture: install gnuplot and run it on %s\n", results_.path("curves.gnuplot").string().c_str());
}

}  // namespace mixed_numbers
