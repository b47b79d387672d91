#include "report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include <neuroinhib/analysis/correlation.hpp>
#include <neuroinhib/io/file.hpp>

#include "../../words.hpp"
#include "../mixed_numbers/data.hpp"
#include "../mixed_numbers/run_log.hpp"

namespace inhibition_analysis {

using namespace papers;

namespace {

/// A run's place in the results: by seed, then by row.
std::pair<Index, std::ptrdiff_t> place(const nlohmann::json& run) {
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return run.at("row") == r.name; });
  return {run.at("seed").get<Index>(), row - kRows.begin()};
}

/// The mean over the neurons of the sizes of one of a run's entries.
double mean_size(const nlohmann::json& run, const char* entry) {
  double sum = 0;
  const std::vector<double> numbers = numbers_in(run.at(entry));
  for (const double number : numbers) sum += std::abs(number);
  return sum / static_cast<double>(numbers.size());
}

std::vector<double> of_all(const std::vector<RunMeasures>& runs, double RunMeasures::* measure) {
  std::vector<double> values;
  for (const RunMeasures& run : runs) values.push_back(run.*measure);
  return values;
}

/// A cell of the table: mean, and deviation over the seeds.
std::string cell(const char* format, const Summary& summary) {
  return " | " + with_deviation(format, summary);
}

/// A line of the table.
struct Measure {
  const char *title, *format;
  double (*of)(const nlohmann::json& run);
};
constexpr std::array<Measure, 11> kMeasures{
    {{"test accuracy, %", "%.1f", [](const auto& run) { return 100 * number_in(run.at("test")); }},
     {"common neurons", "%.0f", [](const auto& run) { return measures_of(run).number_common; }},
     {"mean gate of common neurons", "%.3f", [](const auto& run) { return measures_of(run).gate_of_common; }},
     {"… of discriminative neurons", "%.3f", [](const auto& run) { return measures_of(run).gate_of_discriminative; }},
     {"deviation of a gate over images", "%.3f", [](const auto& run) { return mean_size(run, "gate_deviation"); }},
     {"correlation of absolute c with the mean gate (figure 2)", "%.3f",
      [](const auto& run) { return measures_of(run).slope; }},
     {"probability that a common neuron is suppressed before a discriminative one (figure 3); ½: no difference", "%.3f",
      [](const auto& run) { return measures_of(run).preference; }},
     {"… before training", "%.3f", [](const auto& run) { return measures_of(run.at("untrained")).preference; }},
     {"thresholds at which more common than discriminative neurons are suppressed, % (below y = x)", "%.0f",
      [](const auto& run) { return 100 * measures_of(run).below; }},
     {"mean absolute c of z", "%.3f", [](const auto& run) { return mean_size(run, "correlation"); }},
     {"… of z\\*, after the inhibition", "%.3f", [](const auto& run) { return mean_size(run, "correlation_after"); }}}};

}  // namespace

std::vector<double> thresholds() {
  constexpr int kSteps = 200;
  std::vector<double> all;
  for (int i = 0; i <= kSteps; ++i) all.push_back(static_cast<double>(i) / kSteps);
  return all;
}

RunMeasures measures_of(const nlohmann::json& run) {
  using neuroinhib::View;
  RunMeasures m;
  const std::vector<double> c = numbers_in(run.at("correlation"));
  for (const double one : c) m.sizes.push_back(std::abs(one));
  m.gates = numbers_in(run.at("gate"));
  m.kinds = neuroinhib::neuron_kinds(c);
  for (std::size_t i = 0; i < c.size(); ++i)
    (m.kinds.discriminative[i] ? m.gate_of_discriminative : m.gate_of_common) += m.gates[i];
  m.number_common = static_cast<double>(m.kinds.number_common());
  m.gate_of_common /= m.number_common;
  m.gate_of_discriminative /= static_cast<double>(m.kinds.number_discriminative());
  const View<const double> gates(m.gates.data(), {std::ssize(m.gates), 1});
  m.slope = neuroinhib::correlation(gates, View<const double>(m.sizes)).coefficients()[0];
  m.preference = neuroinhib::suppression_preference(m.kinds, m.gates);
  double counted = 0, below = 0;
  for (const auto& point : neuroinhib::suppressed_neurons(m.kinds, m.gates, thresholds())) {
    const Index all = point.common + point.discriminative;
    if (all == 0 || all == std::ssize(c)) continue;
    counted += 1;
    below += point.common > point.discriminative ? 1 : 0;
  }
  m.below = counted > 0 ? below / counted : 0;
  return m;
}

Report::Report(const OutputFolder& folder, const Settings& settings, const neuroinhib::data::ImageSet& set,
               const std::string& machine)
    : set_(set),
      command_(settings.command),
      results_(folder, settings, "inhibition_analysis",
               mixed_numbers::described(settings, set.source, mixed_numbers::identity(set)), machine) {}

void Report::add(nlohmann::json run) {
  const RunMeasures m = measures_of(run);
  std::printf("%-8s seed %td: test %.2f %%, mean gate of common neurons %.3f, of discriminative ones %.3f, %.0f s\n",
              run.at("row").get<std::string>().c_str(), run.at("seed").get<Index>(), 100 * run.at("test").get<double>(),
              m.gate_of_common, m.gate_of_discriminative, run.at("seconds").get<double>());
  results_.add(std::move(run),
               [](const nlohmann::json& one, const nlohmann::json& other) { return place(one) < place(other); });
}

void Report::show() {
  const auto verdicts = results_.look([&] { return verdicts_json(circumstances(), comparisons()); });
  results_.conclude(verdicts, results_.look([&] { return figures(); }));
  const std::string text = results_.look([&] { return table() + "\n" + verdict_tables(verdicts); });
  neuroinhib::io::write_file(results_.folder().file("table.md"), text);
  std::printf("\n%s\nresults in %s\n", text.c_str(), results_.folder().path().c_str());
  results_.look([&] { draw_examples(), draw_gates(), draw_suppressed(), draw_masks(); });
}

std::vector<nlohmann::json> Report::runs_of(const Row& row) const {
  std::vector<nlohmann::json> runs;
  for (const auto& run : results_.runs())
    if (run.at("row") == row.name) runs.push_back(run);
  return runs;
}

std::vector<RunMeasures> Report::measured(const Row& row) const {
  std::vector<RunMeasures> measures;
  for (const auto& run : runs_of(row)) measures.push_back(measures_of(run));
  return measures;
}

std::string Report::table() const {
  std::string heads, rule, lines;
  std::vector<std::string> names;
  std::vector<std::vector<nlohmann::json>> columns;
  for (const Row& row : kRows) {
    names.emplace_back(row.name);
    auto runs = runs_of(row);
    if (runs.empty()) continue;
    heads += " | " + std::string(row.title) + ", " + std::to_string(runs.size()) + " seeds";
    rule += "---:|";
    columns.push_back(std::move(runs));
  }
  for (const Measure& measure : kMeasures) {
    lines.append("| ").append(measure.title);
    for (const auto& runs : columns) {
      std::vector<double> values;
      for (const auto& run : runs) values.push_back(measure.of(run));
      lines += cell(measure.format, Summary(values));
    }
    lines += " |\n";
  }
  return "Which neurons of the router the inhibition suppresses, on test images: means ± deviations over seeds.\n\n" +
         results_.settings().at("key").get<std::string>() + ". Machine: " + results_.machines(names) + ".\n\n" +
         "| Measure" + heads + " |\n|---|" + rule + "\n" + lines +
         "\nCommon neurons are those whose absolute c (eq. 5) is at most the mean over all neurons; the others are "
         "discriminative.\n";
}

std::vector<Comparison> Report::comparisons() const {
  std::vector<Comparison> all;
  for (const Row& row : kRows) {
    const auto runs = measured(row);
    if (runs.empty()) continue;
    const auto add = [&](const char* claim, std::vector<double> values, double nothing) {
      for (double& value : values) value -= nothing;
      all.push_back(compare({std::string(row.title) + ", " + claim, 1, {}}, values));
    };
    add("figure 2: correlation of the absolute c with the mean gate", of_all(runs, &RunMeasures::slope), 0);
    add("figure 3: probability that a common neuron is suppressed first, minus ½",
        of_all(runs, &RunMeasures::preference), .5);
  }
  return all;
}

Circumstances Report::circumstances() const {
  const auto& s = results_.settings();
  return {"Neural Inhibition, figures 2 and 3, recipe " + s.at("recipe").get<std::string>(),
          readable(s.at("samples").get<Index>()) + " images, " + readable(s.at("epochs").get<Index>()) +
              " epochs, learning rate " + shortest(s.at("learning_rate").get<double>()) +
              " (published: 120,000, 35, 5e-05)",
          command_, "over the router's neurons", 3};
}

}  // namespace inhibition_analysis
