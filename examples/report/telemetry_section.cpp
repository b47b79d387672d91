#include "telemetry_section.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/io/telemetry_file.hpp>

#include "../papers/common.hpp"
#include "heat.hpp"

namespace report {
namespace {

using neuroinhib::Index;
using neuroinhib::io::TelemetryFile;
using neuroinhib::io::TelemetryImages;
using neuroinhib::io::TelemetryLayer;
using neuroinhib::io::TelemetryStep;
using nlohmann::json;

json lines(const char* kind, const std::string& title, const std::string& note, const char* y) {
  return {{"kind", kind},        {"title", title},         {"note", note}, {"x", {{"title", "step"}}},
          {"y", {{"title", y}}}, {"series", json::array()}};
}

void add_point(json& chart, std::size_t series, const std::string& name, std::uint64_t x, double y) {
  json& all = chart["series"];
  while (all.size() <= series) all.push_back({{"name", ""}, {"x", json::array()}, {"y", json::array()}});
  all[series]["name"] = name;
  all[series]["x"].push_back(x);
  all[series]["y"].push_back(y);
}

/// A layer's place in a step and its name: several layers may have one name.
std::string label(const TelemetryStep& step, std::size_t layer) {
  const std::string& name = step.layers[layer].name;
  const bool alone = std::count_if(step.layers.begin(), step.layers.end(),
                                   [&](const TelemetryLayer& other) { return other.name == name; }) == 1;
  return alone ? name : name + " " + std::to_string(layer + 1);
}

/// The number of experts that would be as even as these loads are: exp of their entropy.
double effective(const std::vector<double>& load) {
  double entropy = 0;
  for (const double share : load)
    if (share > 0) entropy -= share * std::log(share);
  return std::exp(entropy);
}
std::vector<double> load_of(const TelemetryLayer& layer) {
  double all = 0;
  for (const float slots : layer.slots) all += static_cast<double>(slots);
  std::vector<double> load;
  for (const float slots : layer.slots) load.push_back(all > 0 ? static_cast<double>(slots) / all : 0);
  return load;
}

json charts_of(const TelemetryFile& file) {
  std::map<std::string, json> measures;
  json entropy = lines("lines", "Entropy of the routing", "mean over tokens; log(experts) at chance", "nats");
  json even = lines("lines", "Effective number of experts", "exp of the load's entropy", "experts");
  std::map<std::size_t, json> loads;
  std::map<std::size_t, std::vector<const TelemetryLayer*>> layers;
  std::vector<std::uint64_t> numbers;
  for (const TelemetryStep& step : file.steps()) {
    numbers.push_back(step.number);
    for (const auto& [name, value] : step.measures) {
      json& chart = measures.try_emplace(name, lines("lines", name, "", name.c_str())).first->second;
      add_point(chart, 0, name, step.number, value);
    }
    for (std::size_t l = 0; l < step.layers.size(); ++l) {
      const TelemetryLayer& layer = step.layers[l];
      const std::string name = label(step, l);
      const std::vector<double> load = load_of(layer);
      add_point(entropy, l, name, step.number, layer.entropy);
      add_point(even, l, name, step.number, effective(load));
      json& chart = loads.try_emplace(l, lines("area", name + ": load over training", "by expert", "share of slots"))
                        .first->second;
      chart["y"]["max"] = 1;
      for (std::size_t k = 0; k < load.size(); ++k)
        add_point(chart, k, "expert " + std::to_string(k), step.number, load[k]);
      auto& same = layers[l];
      if (same.empty() || same.front()->gated == layer.gated) same.push_back(&layer);
    }
  }
  json charts = json::array();
  for (auto& [name, chart] : measures) charts.push_back(std::move(chart));
  for (json* chart : {&entropy, &even})
    if (!chart->at("series").empty()) charts.push_back(std::move(*chart));
  for (auto& [l, chart] : loads) {
    const std::string title = chart.at("title").get<std::string>();
    charts.push_back(std::move(chart));
    std::vector<float> means;
    for (const TelemetryLayer* layer : layers[l])
      means.insert(means.end(), layer->gate_means.begin(), layer->gate_means.end());
    if (!means.empty() && layers[l].size() == numbers.size())
      charts.push_back(heat(title.substr(0, title.find(": load")) + ": gate means over training",
                            "mean σ of each neuron", {{"title", "step"}, {"values", numbers}}, "neuron", numbers.size(),
                            static_cast<std::size_t>(layers[l].front()->gated), means));
  }
  return charts;
}

/// What the token view reads of a layer; numbers as bytes.
json view_of(const TelemetryStep& step, std::size_t l) {
  const TelemetryLayer& layer = step.layers[l];
  json view{{"name", label(step, l)},         {"rows", layer.rows},
            {"tokens", layer.tokens},         {"experts", layer.experts},
            {"chosen", layer.chosen},         {"neighbours", layer.neighbours},
            {"logits", layer.logits},         {"scores", base64(layer.scores)},
            {"expert", base64(layer.expert)}, {"gates", base64(layer.gates)}};
  if (layer.gated > 0)
    view["mask"] = heat("Gate of each token", "σ of the layer's gate", {{"title", "token"}}, "neuron",
                        static_cast<std::size_t>(layer.rows), static_cast<std::size_t>(layer.gated), layer.mask);
  if (!layer.own_scores.empty())
    view.update({{"own", base64(layer.own_scores)},
                 {"entropy", base64(layer.token_entropy)},
                 {"self", base64(layer.self_weight)}});
  if (layer.neighbours > 0) view.update({{"neighbour", base64(layer.neighbour)}, {"weight", base64(layer.weight)}});
  return view;
}

json images_of(const TelemetryImages& images) {
  return {{"count", images.count},          {"height", images.height}, {"width", images.width},
          {"channels", images.channels},    {"patch", images.patch},   {"before", images.before},
          {"pixels", base64(images.pixels)}};
}

/// At most so many of the steps that have layers, evenly spread, the last among them.
json steps_of(const std::vector<TelemetryStep>& all, std::size_t most) {
  std::vector<const TelemetryStep*> with_layers;
  for (const TelemetryStep& step : all)
    if (!step.layers.empty()) with_layers.push_back(&step);
  const std::size_t count = std::min(most, with_layers.size());
  json steps = json::array();
  for (std::size_t i = 1; i <= count; ++i) {
    const TelemetryStep& step = *with_layers[i * with_layers.size() / count - 1];
    json layers = json::array();
    for (std::size_t l = 0; l < step.layers.size(); ++l) layers.push_back(view_of(step, l));
    steps.push_back({{"number", step.number}, {"layers", std::move(layers)}, {"words", step.words}});
    if (step.images) steps.back()["images"] = images_of(*step.images);
  }
  return steps;
}

}  // namespace

json telemetry_section(const std::filesystem::path& path, std::size_t steps) {
  const TelemetryFile file(path);
  json facts = json::array();
  for (const auto& [key, text] : file.notes()) facts.push_back({key, text});
  facts.push_back({"recorded steps", std::to_string(file.steps().size())});
  if (file.cut() > 0) facts.push_back({"cut off", std::to_string(file.cut()) + " bytes behind the last whole record"});
  return {{"kind", "telemetry"},
          {"name", papers::name_of(path)},
          {"facts", facts},
          {"charts", charts_of(file)},
          {"steps", steps_of(file.steps(), steps)}};
}

}  // namespace report
