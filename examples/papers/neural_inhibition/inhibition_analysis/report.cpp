#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include <neuroinhib/analysis/correlation.hpp>
#include <neuroinhib/io/file.hpp>

#include "../../words.hpp"
#include "../mixed_numbers/data.hpp"

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

double mean_size(const std::vector<double>& correlations) {
  double sum = 0;
  for (const double c : correlations) sum += std::abs(c);
  return sum / static_cast<double>(correlations.size());
}

std::vector<double> of_all(const std::vector<RunMeasures>& runs, double RunMeasures::* measure) {
  std::vector<double> values;
  for (const RunMeasures& run : runs) values.push_back(run.*measure);
  return values;
}

/// A cell of the table: mean, and deviation over the seeds.
std::string cell(const char* format, const Summary& summary) {
  return " | " + text(format, summary.mean) + (summary.count > 1 ? " ± " + text("%.3f", summary.deviation) : "");
}

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
  std::vector<std::string> names;
  for (const Row& row : kRows) names.emplace_back(row.name);
  std::string lines =
      "Which neurons of the router the inhibition suppresses: test images, means ± deviations over seeds.\n\n" +
      results_.settings().at("key").get<std::string>() + ". Machine: " + results_.machines(names) + ".\n\n" +
      "| Row | seeds | test, % | common neurons | their mean gate | discriminative neurons' | r of abs. c with the "
      "gate "
      "| common first | untrained | below y = x, % | mean abs. c of z | of z\\* |\n"
      "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
  for (const Row& row : kRows)
    if (const auto runs = runs_of(row); !runs.empty()) lines += table_line(row, runs);
  return lines +
         "\nCommon neurons are those whose absolute c (eq. 5) is at most the mean over all neurons; the others are "
         "discriminative.\nr is Pearson's correlation over the neurons (figure 2). \"Common first\" is the probability "
         "that a common neuron's mean gate lies below\na discriminative one's: .5 where the inhibition does not tell "
         "them apart (figure 3 with shares on its axes); \"untrained\" is the same\nbefore training. \"Below y = x\" "
         "are "
         "the thresholds at which more common than discriminative neurons are suppressed, as the paper\ncounts them: "
         "where more neurons are common, most are below by chance.\n";
}

std::string Report::table_line(const Row& row, const std::vector<nlohmann::json>& runs) const {
  std::vector<RunMeasures> before;
  std::vector<double> test, z, inhibited;
  for (const auto& run : runs) {
    before.push_back(measures_of(run.at("untrained")));
    test.push_back(100 * number_in(run.at("test")));
    z.push_back(mean_size(numbers_in(run.at("correlation"))));
    inhibited.push_back(mean_size(numbers_in(run.at("correlation_after"))));
  }
  const auto after = measured(row);
  const auto over = [&](double RunMeasures::* measure) { return Summary(of_all(after, measure)); };
  return "| " + std::string(row.title) + " | " + std::to_string(runs.size()) + " | " +
         text("%.1f", Summary(test).mean) + " | " + text("%.0f", over(&RunMeasures::number_common).mean) +
         cell("%.3f", over(&RunMeasures::gate_of_common)) + cell("%.3f", over(&RunMeasures::gate_of_discriminative)) +
         cell("%+.3f", over(&RunMeasures::slope)) + cell("%.3f", over(&RunMeasures::preference)) +
         cell("%.3f", Summary(of_all(before, &RunMeasures::preference))) + " | " +
         text("%.0f", 100 * over(&RunMeasures::below).mean) + cell("%.3f", Summary(z)) +
         cell("%.3f", Summary(inhibited)) + " |\n";
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
