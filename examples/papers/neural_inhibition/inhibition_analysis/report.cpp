#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include <neuroinhib/analysis/correlation.hpp>
#include <neuroinhib/io/file.hpp>

#include "../mixed_numbers/data.hpp"
#include "rows.hpp"

namespace inhibition_analysis {

using namespace papers;

namespace {

std::string text(const char* format, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

/// A run's place in the results: by seed, then by row.
std::pair<Index, std::ptrdiff_t> place(const nlohmann::json& run) {
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return run.at("row") == r.name; });
  return {run.at("seed").get<Index>(), row - kRows.begin()};
}

/// One of a run's measures, of all runs.
Summary over(const std::vector<nlohmann::json>& runs, double RunMeasures::* measure) {
  std::vector<double> values;
  for (const auto& run : runs) values.push_back(measures_of(run).*measure);
  return Summary(values);
}

/// The same before training.
Summary untrained(const std::vector<nlohmann::json>& runs, double RunMeasures::* measure) {
  std::vector<nlohmann::json> before;
  for (const auto& run : runs) before.push_back(run.at("untrained"));
  return over(before, measure);
}

std::string with_deviation(const char* format, const Summary& summary) {
  return text(format, summary.mean) + (summary.count > 1 ? " ± " + text("%.3f", summary.deviation) : "");
}

/// What an interval of a mean says of a claim that it lies above a boundary.
std::string verdict(const Summary& summary, double boundary) {
  const double half = half_interval(summary);
  if (summary.mean - half > boundary) return "**holds**";
  return summary.mean + half < boundary ? "**excluded**, it is the other way round" : "not decided";
}

}  // namespace

std::vector<double> thresholds() {
  constexpr int kSteps = 200;
  std::vector<double> all;
  for (int i = 0; i <= kSteps; ++i) all.push_back(static_cast<double>(i) / kSteps);
  return all;
}

RunMeasures measures_of(const nlohmann::json& run, const char* correlation) {
  RunMeasures m;
  const std::vector<double> c = numbers_in(run.at(correlation));
  for (const double one : c) m.sizes.push_back(std::abs(one));
  m.gates = numbers_in(run.at("gate"));
  m.kinds = neuroinhib::neuron_kinds(c);
  for (std::size_t i = 0; i < c.size(); ++i)
    if (m.kinds.discriminative[i])
      m.discriminative += m.gates[i] / static_cast<double>(m.kinds.number_discriminative());
    else
      m.common += m.gates[i] / static_cast<double>(m.kinds.number_common());
  using neuroinhib::View;
  const View<const double> gates(m.gates.data(), {std::ssize(m.gates), 1});
  m.slope = neuroinhib::correlation(gates, View<const double>(m.sizes)).coefficients()[0];
  m.preference = neuroinhib::suppression_preference(m.kinds, m.gates);
  double counted = 0;
  for (const auto& point : neuroinhib::suppressed_neurons(m.kinds, m.gates, thresholds())) {
    const Index all = point.common + point.discriminative;
    if (all == 0 || all == std::ssize(c)) continue;
    counted += 1;
    m.below += point.common > point.discriminative ? 1 : 0;
  }
  m.below /= std::max(counted, 1.0);
  return m;
}

Report::Report(const OutputFolder& folder, const Settings& settings, const neuroinhib::data::ImageSet& set,
               const std::string& machine)
    : set_(set),
      results_(folder, settings, "inhibition_analysis",
               {{"key", settings.key() + ", data " + mixed_numbers::identity(set)},
                {"data", set.source},
                {"recipe", settings.recipe},
                {"squares", settings.squares},
                {"epochs", settings.epochs},
                {"samples", settings.samples},
                {"batch", settings.batch},
                {"learning_rate", settings.learning_rate}},
               machine) {}

void Report::add(nlohmann::json run) {
  const RunMeasures m = measures_of(run);
  std::printf("%-8s seed %td: test %.2f %%, mean gate of common neurons %.3f, of discriminative ones %.3f, %.0f s\n",
              run.at("row").get<std::string>().c_str(), run.at("seed").get<Index>(), 100 * run.at("test").get<double>(),
              m.common, m.discriminative, run.at("seconds").get<double>());
  results_.add(std::move(run),
               [](const nlohmann::json& one, const nlohmann::json& other) { return place(one) < place(other); });
}

void Report::show() const {
  const std::string text = results_.look([&] { return table() + verdicts(); });
  neuroinhib::io::write_file(results_.folder().file("table.md"), text);
  std::printf("\n%s\nresults in %s\n", text.c_str(), results_.folder().path().c_str());
  results_.look([&] { draw_examples(), draw_gates(), draw_suppressed(), draw_masks(); });
}

std::vector<nlohmann::json> Report::runs_of(std::string_view row) const {
  std::vector<nlohmann::json> runs;
  for (const auto& run : results_.runs())
    if (run.at("row") == row) runs.push_back(run);
  return runs;
}

std::string Report::table() const {
  std::vector<std::string> rows;
  for (const Row& row : kRows) rows.emplace_back(row.name);
  std::string table =
      "Which neurons of the router the inhibition suppresses: test images, means ± deviations over seeds.\n\n" +
      results_.settings().at("key").get<std::string>() + ". Machine: " + results_.machines(rows) + ".\n\n" +
      "| Row | seeds | test, % | common neurons of 128 | mean gate, common | mean gate, discriminative | "
      "r of \\|c\\| with the gate | common first | common first, untrained | below y = x |\n"
      "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
  for (const Row& row : kRows) {
    const auto runs = runs_of(row.name);
    if (runs.empty()) continue;
    double test = 0, common = 0;
    for (const auto& run : runs) {
      test += number_in(run.at("test")) / static_cast<double>(runs.size());
      common += static_cast<double>(measures_of(run).kinds.number_common()) / static_cast<double>(runs.size());
    }
    table.append("| ").append(row.title).append(" | " + std::to_string(runs.size()));
    table += " | " + text("%.1f", 100 * test) + " | " + text("%.0f", common) + " | " +
             with_deviation("%.3f", over(runs, &RunMeasures::common)) + " | " +
             with_deviation("%.3f", over(runs, &RunMeasures::discriminative)) + " | " +
             with_deviation("%+.3f", over(runs, &RunMeasures::slope)) + " | " +
             with_deviation("%.3f", over(runs, &RunMeasures::preference)) + " | " +
             with_deviation("%.3f", untrained(runs, &RunMeasures::preference)) + " | " +
             text("%.0f %%", 100 * over(runs, &RunMeasures::below).mean) + " |\n";
  }
  return table +
         "\nCommon neurons: |c| (eq. 5) at most the mean of all 128. r: Pearson's correlation over the neurons (figure "
         "2). "
         "Common first: the probability that a common neuron's mean gate lies below a discriminative one's, .5 where "
         "the "
         "inhibition does not tell them apart (figure 3 with shares on its axes). Below y = x: the thresholds at which "
         "more "
         "common than discriminative neurons are suppressed, as the paper counts; where more neurons are common, so "
         "they "
         "are by chance.\n";
}

std::string Report::verdicts() const {
  std::string lines;
  for (const Row& row : kRows) {
    const auto runs = runs_of(row.name);
    if (runs.size() < 2) continue;
    const auto add = [&](const char* claim, const Summary& summary, const char* format, double boundary) {
      lines.append("| ").append(claim).append(" | ").append(row.title);
      lines += " | " + text(format, summary.mean) + " ± " + text("%.3f", half_interval(summary)) + " | " +
               verdict(summary, boundary) + " |\n";
    };
    add("Figure 2: neurons of lower \\|c\\| get lower gates, r > 0", over(runs, &RunMeasures::slope), "%+.3f", 0);
    add("Figure 3: common neurons are suppressed first, over .5", over(runs, &RunMeasures::preference), "%.3f", .5);
  }
  return lines.empty() ? lines
                       : "\nThe paper's claims, means with 95 % intervals over seeds (Student's t):\n\n"
                         "| Claim | Row | ours | verdict |\n|---|---|---:|---|\n" +
                             lines;
}

}  // namespace inhibition_analysis
