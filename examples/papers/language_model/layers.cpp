#include "layers.hpp"

#include <algorithm>
#include <numeric>

namespace language_model {

using papers::number_in;
using papers::numbers_in;
using papers::Summary;

namespace {

/// Of one run, or of a run and its base's: a number a layer.
using ByLayer = std::vector<double>;

ByLayer fluctuation(const nlohmann::json& run) {
  return numbers_in(run.at("fluctuation"));
}
ByLayer entropy_ratio(const nlohmann::json& run, const nlohmann::json& base) {
  ByLayer ratios;
  for (std::size_t l = 0; l < std::min(run.at("layers").size(), base.at("layers").size()); ++l)
    ratios.push_back(number_in(run.at("layers").at(l).at("entropy")) /
                     number_in(base.at("layers").at(l).at("entropy")));
  return ratios;
}
double mean(const ByLayer& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), 0.0) / static_cast<double>(numbers.size());
}

nlohmann::json line(const std::string& name, const std::vector<ByLayer>& runs) {
  nlohmann::json series{{"name", name}};
  for (std::size_t l = 0; l < runs.front().size(); ++l) {
    std::vector<double> seeds;
    for (const ByLayer& run : runs) seeds.push_back(run.at(l));
    const Summary summary(seeds);
    series["x"].push_back(l + 1);
    series["y"].push_back(summary.mean);
    series["low"].push_back(summary.mean - summary.deviation);
    series["high"].push_back(summary.mean + summary.deviation);
  }
  return series;
}
nlohmann::json chart(const std::string& title, const std::string& y) {
  return {{"kind", "lines"},           {"title", title},      {"note", "means over seeds, bands of one deviation"},
          {"x", {{"title", "layer"}}}, {"y", {{"title", y}}}, {"series", nlohmann::json::array()}};
}

/// SMoE and its informed rows, of which the paper drew one figure with M = 2 and one with M = 1.
bool is_drawn_in_paper(const Row& row) {
  const Task& task = row.task;
  return row.router == "linear" && row.every == 1 && row.scale.empty() && !row.sees_all && !task.large && !task.half &&
         !task.twice;
}

}  // namespace

std::string layers_heading(const Task& task) {
  return std::string("Mutual-Inform SMoE, figure ") + (task.one ? "3: routing, M = 1" : "2: routing") +
         (task.arms().empty() ? "" : ", rows " + task.arms());
}

nlohmann::json layer_figures(const papers::Results& results, const Task& task, const std::vector<RowClaim>& pairs) {
  auto changes = chart(layers_heading(task) + ": fluctuation between the last two evaluations",
                       "share of words whose experts changed"),
       ratios = chart(layers_heading(task) + ": entropy ratio", "mean entropy of the scores over the base row's");
  std::vector<std::string> drawn;
  const auto add_changes = [&](const std::string& row) {
    if (std::find(drawn.begin(), drawn.end(), row) != drawn.end()) return;
    drawn.push_back(row);
    changes["series"].push_back(line(find_row(row).title, results.collected(row, fluctuation)));
  };
  for (const RowClaim& pair : pairs) {
    const auto both = results.paired(pair.row, pair.other, entropy_ratio);
    if (both.empty() || both.front().empty()) continue;
    add_changes(pair.other);
    add_changes(pair.row);
    ratios["series"].push_back(line(find_row(pair.row).title, both));
  }
  return drawn.empty() ? nlohmann::json::array() : nlohmann::json::array({changes, ratios});
}

std::vector<papers::Comparison> layer_claims(const papers::Results& results, const std::vector<RowClaim>& pairs) {
  std::vector<papers::Comparison> all;
  for (const RowClaim& pair : pairs) {
    const Row row = find_row(pair.row), base = find_row(pair.other);
    if (!is_drawn_in_paper(row)) continue;
    const auto add = [&](const std::string& text, const auto& combine) {
      const auto differences = results.paired(pair.row, pair.other, combine);
      if (!differences.empty()) all.push_back(papers::compare({text, -1, std::nullopt}, differences));
    };
    add(row.title + " − " + base.title + ": fluctuation, mean over layers",
        [](const auto& run, const auto& other) { return mean(fluctuation(run)) - mean(fluctuation(other)); });
    add(row.title + " over " + base.title + ": entropy of the scores less 1, mean over layers",
        [](const auto& run, const auto& other) { return mean(entropy_ratio(run, other)) - 1; });
  }
  return all;
}

}  // namespace language_model
