#include "results.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <neuroinhib/io/file.hpp>

#include "../papers/common.hpp"
#include "../papers/notes.hpp"
#include "../papers/verdicts.hpp"
#include "heat.hpp"
#include "markdown.hpp"

namespace report {
namespace {

using nlohmann::json;
using papers::Summary;

/// How web/page.js draws series.
constexpr std::array<std::string_view, 4> kKinds{"lines", "ranges", "bars", "area"};

/// The runs of each row, in the order of the file, which they point into.
using Rows = std::vector<std::pair<std::string, std::vector<const json*>>>;

Rows rows_of(const json& runs) {
  Rows rows;
  for (const json& run : runs) {
    const auto& name = run.at("row").get_ref<const std::string&>();
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.first == name; });
    if (found == rows.end())
      rows.push_back({name, {&run}});
    else
      found->second.push_back(&run);
  }
  return rows;
}

/// What a measure is, and in which unit, where we know it: of images, or of words.
std::string meaning(const std::string& experiment, const std::string& measure) {
  using Meanings = std::map<std::string, std::string>;
  static const Meanings kImages{{"loss", "training loss, nats an image"},
                                {"validation", "validation accuracy, share of images"},
                                {"digits", "validation accuracy on digits, share of images"},
                                {"squares", "validation accuracy on squares, share of images"},
                                {"test", "test accuracy, share of images"}};
  static const Meanings kWords{{"loss", "training loss, nats a word"},
                               {"validation", "validation loss, nats a word"},
                               {"test", "test loss, nats a word"}};
  static const std::map<std::string, const Meanings*> kExperiments{
      {"mixed_numbers", &kImages},        {"all_to_all", &kImages},     {"inhibition_analysis", &kImages},
      {"mutual_inform_vision", &kImages}, {"language_model", &kWords},  {"mutual_inform_lm", &kWords},
      {"cross_product", &kWords},         {"posttext_choices", &kWords}};
  const auto known = kExperiments.find(experiment);
  if (known == kExperiments.end()) return measure;
  const auto found = known->second->find(measure);
  return found == known->second->end() ? measure : found->second;
}

/// What stands behind the comma of a meaning; all of it where there is none.
std::string unit_of(const std::string& meaning) {
  const auto comma = meaning.find(", ");
  return comma == std::string::npos ? meaning : meaning.substr(comma + 2);
}

json empty_series(const std::string& name) {
  return {{"name", name}, {"x", json::array()}, {"y", json::array()}, {"low", json::array()}, {"high", json::array()}};
}

/// A mean over runs, with a band of one deviation where there is one.
class Band {
 public:
  void add(double x, const std::vector<double>& values) {
    const Summary summary(values);
    x_.push_back(x);
    y_.push_back(summary.mean);
    low_.push_back(summary.mean - summary.deviation);
    high_.push_back(summary.mean + summary.deviation);
    wide_ |= summary.count > 1;
  }
  [[nodiscard]] json series(const std::string& name) const {
    json series{{"name", name}, {"x", x_}, {"y", y_}};
    if (wide_) series.update({{"low", low_}, {"high", high_}});
    return series;
  }

 private:
  std::vector<double> x_, y_, low_, high_;
  bool wide_ = false;
};

/// Of the entries "…_curve" of the runs: means over seeds by epoch.
json curves(const std::string& experiment, const Rows& rows) {
  constexpr std::string_view kEnding = "_curve";
  std::map<std::string, json> charts;
  for (const auto& [name, runs] : rows)
    for (const auto& [key, curve] : runs.front()->items()) {
      if (!key.ends_with(kEnding) || curve.empty()) continue;
      Band band;
      for (std::size_t epoch = 0; epoch < curve.size(); ++epoch) {
        std::vector<double> values;
        for (const json* run : runs) {
          const json& other = run->at(key);
          if (epoch < other.size()) values.push_back(papers::number_in(other.at(epoch)));
        }
        band.add(static_cast<double>(epoch + 1), values);
      }
      json& chart = charts[key];
      if (chart.is_null()) {
        const std::string y = meaning(experiment, key.substr(0, key.size() - kEnding.size()));
        chart = {{"kind", "lines"},
                 {"title", "By epoch: " + y},
                 {"note", "means over seeds, bands of one deviation"},
                 {"x", {{"title", "epoch"}}},
                 {"y", {{"title", unit_of(y)}}},
                 {"series", json::array()}};
      }
      chart["series"].push_back(band.series(name));
    }
  json list = json::array();
  for (auto& [key, chart] : charts) list.push_back(std::move(chart));
  return list;
}

/// What each run reached on the test data, and its row's mean.
json tests(const std::string& experiment, const Rows& rows) {
  json names = json::array();
  json seeds{{"name", "each seed"}, {"x", json::array()}, {"y", json::array()}, {"points", true}};
  Band means;
  for (const auto& [name, runs] : rows) {
    std::vector<double> values;
    for (const json* run : runs)
      if (run->contains("test")) values.push_back(papers::number_in(run->at("test")));
    if (values.empty()) continue;
    const auto place = static_cast<double>(names.size());
    means.add(place, values);
    for (const double value : values) {
      seeds["x"].push_back(place);
      seeds["y"].push_back(value);
    }
    names.push_back(name);
  }
  if (names.empty()) return json::array();
  const std::string y = meaning(experiment, "test");
  return json::array({{{"kind", "ranges"},
                       {"title", "By row: " + y},
                       {"note", "means with one deviation over seeds, and each seed"},
                       {"x", {{"title", "row"}, {"labels", names}}},
                       {"y", {{"title", unit_of(y)}}},
                       {"series", {means.series("mean"), seeds}}}});
}

/// Of each layer, the share of slots that an expert serves.
json loads(const Rows& rows) {
  json charts = json::array();
  for (const auto& [name, runs] : rows) {
    if (!runs.front()->contains("layers")) continue;
    json series = json::array();
    std::size_t experts = 0;
    const json& layers = runs.front()->at("layers");
    for (std::size_t l = 0; l < layers.size(); ++l) {
      Band band;
      const json& load = layers.at(l).at("load");
      for (std::size_t k = 0; k < load.size(); ++k) {
        std::vector<double> shares;
        for (const json* run : runs) shares.push_back(papers::number_in(run->at("layers").at(l).at("load").at(k)));
        band.add(static_cast<double>(k), shares);
      }
      experts = std::max(experts, load.size());
      series.push_back(band.series("layer " + std::to_string(l + 1)));
    }
    if (experts == 0) continue;
    json labels = json::array();
    for (std::size_t k = 0; k < experts; ++k) labels.push_back(std::to_string(k));
    charts.push_back({{"kind", "bars"},
                      {"title", name + ": load of the experts, test data"},
                      {"note", "1 / experts where the load is even"},
                      {"x", {{"title", "expert"}, {"labels", labels}}},
                      {"y", {{"title", "share of slots"}}},
                      {"series", series}});
  }
  return charts;
}

/// Numbers, texts and the like as a person reads them.
std::string readable(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return neuroinhib::number_text(value.get<double>());
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json facts(const json& settings) {
  json facts = json::array();
  for (const auto& [key, value] : settings.items()) facts.push_back({key, readable(value)});
  return facts;
}

/// Published differences beside ours, with their intervals: a chart for all that share a unit.
json differences(const json& verdicts) {
  json charts = json::array();
  for (const json& verdict : verdicts) {
    const papers::Comparison comparison = papers::comparison_of(verdict);
    const std::string title = verdict.at("of").get<std::string>() + ": differences", unit = verdict.at("unit");
    if (charts.empty() || charts.back().at("title") != title || charts.back().at("y").at("title") != unit)
      charts.push_back({{"kind", "ranges"},
                        {"title", title},
                        {"note", "95 % intervals, ours paired by seed"},
                        {"x", {{"title", "claim"}, {"labels", json::array()}}},
                        {"y", {{"title", unit}}},
                        {"series", {empty_series("ours"), empty_series("published")}}});
    json& chart = charts.back();
    const auto place = static_cast<double>(chart.at("x").at("labels").size());
    chart["x"]["labels"].push_back(comparison.claim.text);
    const auto add = [&](std::size_t series, double x, double mean, double half) {
      for (const auto& [name, value] : {std::pair{"x", x}, {"y", mean}, {"low", mean - half}, {"high", mean + half}})
        chart["series"][series][name].push_back(value);
    };
    add(0, place, comparison.mean, comparison.half);
    const papers::Claim& claim = comparison.claim;
    if (claim.published) add(1, place + 0.2, *claim.published, claim.published_half.value_or(0));
  }
  return charts;
}

[[noreturn]] void refuse_figure(const std::string& title, const std::string& expected, const std::string& actual) {
  neuroinhib::fail<neuroinhib::FormatError>("figure \"" + title + '"', expected, actual,
                                            "see docs/report.md for what a figure may have");
}

json heat_figure(const std::string& title, const json& given) {
  const json& columns = given.at("values");
  std::vector<float> values;
  for (const json& column : columns) {
    for (const double value : papers::numbers_in(column)) values.push_back(static_cast<float>(value));
    if (column.size() != columns.at(0).size())
      refuse_figure(title, "as many numbers in each column",
                    std::to_string(column.size()) + " and " + std::to_string(columns.at(0).size()));
  }
  if (values.empty()) refuse_figure(title, "columns of numbers", "none");
  return heat(title, given.value("note", ""), {{"title", given.at("x").at("title").get<std::string>()}},
              given.at("y").at("title"), columns.size(), columns.at(0).size(), values);
}

/// A chart that results.json has under "figures", with its numbers as such.
json figure(const json& given) {
  const auto title = given.at("title").get<std::string>(), kind = given.at("kind").get<std::string>();
  if (kind == "heat") return heat_figure(title, given);
  if (std::find(kKinds.begin(), kKinds.end(), kind) == kKinds.end())
    refuse_figure(title, "one of the kinds lines, ranges, bars, area, heat", kind);
  json chart{{"kind", kind}, {"title", title}, {"note", given.value("note", "")}, {"series", json::array()}};
  for (const char* axis : {"x", "y"}) chart[axis]["title"] = given.at(axis).at("title").get<std::string>();
  if (given.at("x").contains("labels"))
    chart["x"]["labels"] = given.at("x").at("labels").get<std::vector<std::string>>();
  for (const json& from : given.at("series")) {
    json series{{"name", from.at("name").get<std::string>()}};
    if (from.contains("low") != from.contains("high")) refuse_figure(title, "low and high together", "one of them");
    for (const char* numbers : {"x", "y", "low", "high"}) {
      if (!from.contains(numbers) && numbers[0] != 'x' && numbers[0] != 'y') continue;
      series[numbers] = papers::numbers_in(from.at(numbers));
      if (series[numbers].size() != series.at("x").size())
        refuse_figure(title, "as many numbers in " + std::string(numbers) + " as in x",
                      std::to_string(series[numbers].size()) + " and " + std::to_string(series.at("x").size()));
    }
    series["points"] = from.value("points", false);
    chart["series"].push_back(std::move(series));
  }
  return chart;
}

/// The section from a results.json that has been parsed; one of verdicts alone has neither settings nor runs.
json section(const json& results, const std::string& name, const std::string& table) {
  const auto& experiment = results.at("experiment").get_ref<const std::string&>();
  const json verdicts = results.value("verdicts", json::array()), runs = results.value("runs", json::array());
  const Rows rows = rows_of(runs);
  const std::string judged = papers::verdict_tables(verdicts);
  json section{{"kind", "results"},
               {"name", name},
               {"experiment", experiment},
               {"facts", facts(results.value("settings", json::object()))},
               {"verdicts", blocks_of(table.find(judged) == std::string::npos ? judged : "")},
               {"blocks", blocks_of(table)},
               {"charts", differences(verdicts)}};
  for (const json& given : results.value("figures", json::array())) section["charts"].push_back(figure(given));
  for (json& charts : std::vector{tests(experiment, rows), curves(experiment, rows), loads(rows)})
    for (json& chart : charts) section["charts"].push_back(std::move(chart));
  return section;
}

}  // namespace

json results_section(const std::filesystem::path& path) {
  const bool folder = std::filesystem::is_directory(path);
  const auto file = folder ? path / "results.json" : path, table = path / "table.md";
  const std::string text = neuroinhib::io::read_file(file);
  try {
    return section(json::parse(text), papers::name_of(path),
                   folder && std::filesystem::exists(table) ? neuroinhib::io::read_file(table) : "");
  } catch (const json::exception& error) {
    neuroinhib::fail<neuroinhib::FormatError>(file.string(), "the results of an experiment", error.what(),
                                              "name a folder that scripts/replicate wrote, or a results.json");
  }
}

}  // namespace report
