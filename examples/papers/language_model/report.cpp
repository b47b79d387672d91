#include "report.hpp"

#include <cmath>
#include <cstdio>
#include <set>

#include <neuroinhib/io/file.hpp>

#include "training.hpp"

namespace language_model {

using papers::Summary;

namespace {

std::string text(const char* format, double value) {
  char line[64];
  std::snprintf(line, sizeof line, format, value);
  return line;
}
std::string with_deviation(const char* format, const Summary& summary) {
  return text(format, summary.mean) + (summary.count > 1 ? " ± " + text(format, summary.deviation) : "");
}
double mean_of(const nlohmann::json& values) {
  double sum = 0;
  for (const auto& value : values) sum += value.get<double>();
  return values.empty() ? NAN : sum / static_cast<double>(values.size());
}
/// Deviation of the experts' loads over their mean, averaged over layers.
double load_variation(const nlohmann::json& run) {
  double sum = 0;
  for (const auto& layer : run["layers"]) {
    const Summary load(layer["load"].get<std::vector<double>>());
    const auto n = static_cast<double>(load.count);
    sum += load.deviation * std::sqrt((n - 1) / n) / load.mean;
  }
  return run["layers"].empty() ? NAN : sum / static_cast<double>(run["layers"].size());
}
double mean_layer(const nlohmann::json& run, const char* measure) {
  double sum = 0;
  for (const auto& layer : run["layers"]) sum += layer[measure].get<double>();
  return run["layers"].empty() ? NAN : sum / static_cast<double>(run["layers"].size());
}
/// What to say of layers whose weights on other words are degenerate: all on the word itself, or near even over all.
std::string degenerate(const Row& row, const nlohmann::json& run, Index length) {
  constexpr double kSelf = 0.95, kEven = 0.9;
  std::string notes;
  for (std::size_t l = 0; l < run["layers"].size(); ++l) {
    const double self = run["layers"][l]["self"], neighbours = run["layers"][l]["neighbours"];
    const std::string where = "- " + row.title + ", layer " + std::to_string(l + 1) + ": ";
    if (self > kSelf)
      notes += where + text("a word's weight on itself is %.2f", self) +
               ": it routes all but as without the decorator; raise " + (row.inform == "similarity" ? "τ" : "σ") + "\n";
    else if (neighbours > kEven * static_cast<double>(length) / 2)
      notes += where + text("%.0f words weigh all but alike", neighbours) + ": routing is the text's mean; lower " +
               (row.inform == "similarity" ? "τ" : "σ") + "\n";
  }
  return notes;
}
std::string or_dash(const char* format, double value) {
  return std::isnan(value) || value == 0 ? "–" : text(format, value);
}

}  // namespace

nlohmann::json measures(const Evaluation& evaluation) {
  auto all = nlohmann::json::array();
  for (const LayerMeasures& layer : evaluation.layers)
    all.push_back({{"entropy", layer.entropy},
                   {"own_entropy", layer.own_entropy},
                   {"neighbours", layer.neighbours},
                   {"self", layer.self},
                   {"load", layer.load},
                   {"domain_load", layer.domain_load}});
  return all;
}

Report::Report(const Settings& settings, const Corpus& corpus, const std::string& machine)
    : settings_(settings),
      results_(settings.out, "language_model", settings.key() + ", data " + corpus.source, machine, settings.resume) {
  nlohmann::json& json = results_.json();
  json["settings"]["data"] = corpus.source;
  json["settings"]["domains"] = corpus.domains;
  json["words"] = {{"training", corpus.words(Split::training)},
                   {"validation", corpus.words(Split::validation)},
                   {"test", corpus.words(Split::test)},
                   {"unknown", corpus.unknown}};
  results_.save();
}

void Report::add(nlohmann::json run) {
  results_.add(std::move(run));
  results_.save();
}

void Report::show() const {
  const std::string all = table(1) + table(2);
  neuroinhib::io::write_file(results_.path("table.md"), all);
  std::printf("\n%s\nresults in %s\n", all.c_str(), settings_.out.string().c_str());
}

template <class Measure>
std::vector<double> Report::values(const std::string& row, const Measure& measure) const {
  std::vector<double> all;
  for (const auto& run : results_.runs())
    if (run["row"] == row) all.push_back(measure(run));
  return all;
}

/// Where a table's runs were made: resuming may have gone on elsewhere.
std::string Report::machines(const std::vector<Row>& rows) const {
  std::set<std::string> names;
  for (const Row& row : rows)
    for (const auto& run : results_.runs())
      if (run["row"] == row.name) names.insert(run["machine"].get<std::string>());
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : "; ") + name;
  return all;
}

std::string Report::table(int paper) const {
  std::vector<Row> rows;
  for (const std::string& name : settings_.rows)
    if (const Row row = find_row(name); row.paper == paper && has(name, 0)) rows.push_back(row);
  if (rows.empty()) return "";
  const Network& n = settings_.network(rows[0]);
  const auto& runs = results_.runs();
  double floor = 0, steps = 0, vocabulary = 0;
  for (const auto& run : runs)
    if (run["row"] == rows[0].name) floor = run["floor"], steps = run["steps"], vocabulary = run["vocabulary"];
  std::string out = paper == 1 ? "## Neural Inhibition, table 2: next-word prediction\n\n"
                               : "## Mutual-Inform SMoE, tables 1 and 3: next-word prediction\n\n";
  out += "Ours: " + n.name + ", vocabulary " + text("%.0f", vocabulary) + ", " + std::to_string(n.batch) + " × " +
         std::to_string(n.length) + " tokens a step, " + text("%.0f", steps) +
         " steps; text: " + results_.json()["settings"]["data"].get<std::string>() + ", " +
         std::to_string(results_.json()["words"]["training"].get<Index>()) + " training words, " +
         text("%.1f", 100 * results_.json()["words"]["unknown"].get<double>()) +
         " % of all words unknown. Machine: " + machines(rows) + ".\n";
  out += paper == 1
             ? "Published: normalised loss on 300,000 / 1,000,000 sentences. It cannot be a loss per word of next-word "
               "prediction: the research code shows its decoder the word it is to predict. Ours is causal, in nats a "
               "word.\n"
             : "Published: validation / test perplexity on WikiText-103 (103 million words, vocabulary 267,735, 60,000 "
               "steps of the medium network). Ours is another text and scale: compare rows, not columns. Attacked: " +
                   text("%.0f", 100 * settings_.attack) +
                   " % of the words read became \"AAA\", which no vocabulary has.\n";
  if (floor > 0) out += "Floor (the grammars' own entropy): " + text("%.4f", floor) + " nats a word.\n";
  out +=
      "\n| Row | published | validation ppl | test nats | test ppl | attacked ppl | fluctuation | load CV | neighbours "
      "| seeds |\n"
      "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
  for (const Row& row : rows) {
    const auto exp_of = [&](const char* measure) {
      return Summary(values(row.name, [&](const auto& run) { return std::exp(run[measure].template get<double>()); }));
    };
    const auto of = [&](const auto& measure) { return Summary(values(row.name, measure)); };
    const Summary test = of([](const auto& run) { return run["test"].template get<double>(); });
    const double fluctuation = of([](const auto& run) { return mean_of(run["fluctuation"]); }).mean;
    out += "| " + row.title + " | " + row.published + " | " + with_deviation("%.2f", exp_of("validation")) + " | " +
           with_deviation("%.4f", test) + " | " + with_deviation("%.2f", exp_of("test")) + " | " +
           with_deviation("%.2f", exp_of("attacked")) + " | " +
           (std::isnan(fluctuation) ? "–" : text("%.3f", fluctuation)) + " | " +
           or_dash("%.2f", of([](const auto& run) { return load_variation(run); }).mean) + " | " +
           or_dash("%.1f", of([](const auto& run) { return mean_layer(run, "neighbours"); }).mean) + " | " +
           std::to_string(test.count) + " |\n";
  }
  const std::string against = paper == 1 ? "moe" : "smoe";
  std::string notes;
  for (const Row& row : rows)
    for (const auto& run : runs)
      if (run["row"] == row.name && run["seed"] == 0) notes += degenerate(row, run, n.length);
  if (!notes.empty()) notes = "\nDegenerate weights, seed 0:\n\n" + notes;
  return out + comparisons(rows, against) + layers(rows, against) + notes + domains(rows) + "\n";
}

std::string Report::comparisons(const std::vector<Row>& rows, const std::string& against) const {
  std::string lines;
  for (const Row& row : rows) {
    if (row.name == against) continue;
    std::vector<double> differences;
    for (const auto& run : results_.runs())
      for (const auto& other : results_.runs())
        if (run["row"] == row.name && other["row"] == against && run["seed"] == other["seed"])
          differences.push_back(run["test"].get<double>() - other["test"].get<double>());
    const Summary paired(differences);
    if (paired.count < 2) continue;
    const double half = papers::half_interval(paired);
    lines += "- " + row.title + " − " + find_row(against).title + text(": %+.4f", paired.mean) + text(" ± %.4f", half) +
             (std::abs(paired.mean) > half ? "\n" : ", not decided\n");
  }
  return lines.empty() ? lines : "\nTest loss paired by seed, nats with 95 % intervals (Student's t):\n\n" + lines;
}

std::string Report::layers(const std::vector<Row>& rows, const std::string& against) const {
  std::string lines;
  for (const Row& row : rows) {
    for (const auto& run : results_.runs()) {
      if (run["row"] != row.name || run["seed"] != 0 || run["layers"].empty()) continue;
      lines += "| " + row.title + " |";
      for (std::size_t l = 0; l < run["layers"].size(); ++l) {
        double baseline = NAN;
        for (const auto& other : results_.runs())
          if (other["row"] == against && other["seed"] == 0 && other["layers"].size() == run["layers"].size())
            baseline = other["layers"][l]["entropy"];
        const auto& layer = run["layers"][l];
        const double self = layer["self"];
        lines += " " + or_dash("%.3f", layer["entropy"].get<double>() / baseline) + " / " +
                 text("%.3f", run["fluctuation"][l].get<double>()) + (self > 0 ? " / " + text("%.2f", self) : "") +
                 " |";
      }
      lines += "\n";
    }
  }
  if (lines.empty()) return "";
  const auto columns =
      std::count(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(lines.find('\n')), '|') - 2;
  std::string head = "| Row |", rule = "|---|";
  for (std::ptrdiff_t l = 0; l < columns; ++l) {
    head += " layer " + std::to_string(l + 1) + " |";
    rule += "---:|";
  }
  return "\nEntropy ratio (mean H(p) over that of " + find_row(against).title +
         ") / fluctuation / mean weight of a word on itself, seed 0:\n\n" + head + "\n" + rule + "\n" + lines;
}

std::string Report::domains(const std::vector<Row>& rows) const {
  std::string out = "\nTest loss by domain, nats a word:\n\n| Row |";
  const auto names = results_.json()["settings"]["domains"].get<std::vector<std::string>>();
  for (const std::string& name : names) out += " " + name + " |";
  out += "\n|---|";
  for (std::size_t d = 0; d < names.size(); ++d) out += "---:|";
  out += "\n";
  for (const Row& row : rows) {
    out += "| " + row.title + " |";
    for (std::size_t d = 0; d < names.size(); ++d)
      out +=
          " " +
          or_dash("%.3f",
                  Summary(values(row.name, [&](const auto& run) { return run["domains"][d].template get<double>(); }))
                      .mean) +
          " |";
    out += "\n";
  }
  return out;
}

}  // namespace language_model
