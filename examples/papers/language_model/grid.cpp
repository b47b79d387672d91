#include "grid.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "../picture.hpp"

namespace language_model {

using papers::Comparison;
using papers::text;

namespace {

constexpr auto kUninhibit = [](Row& row) { row.inhibition = "none"; };
constexpr auto kUninform = [](Row& row) { row.inform = "none"; };
constexpr auto kMakeSmoe = [](Row& row) { row.router = "linear", row.every = 1; };
constexpr auto kSimplify = [](Row& row) { kUninhibit(row), kUninform(row); };

/// What distinguishes the rows of a grid.
auto key(const Row& row) {
  return std::tie(row.inhibition, row.router, row.every, row.inform);
}
bool has_seeds(const std::optional<Comparison>& comparison) {
  return comparison && comparison->seeds > 0;
}
/// "−0.0123 ± 0.0045", without the interval where there is one seed.
std::string with_interval(const Comparison& comparison) {
  return papers::with_half(4, comparison.mean, comparison.half);
}
std::string list(const std::string& head, const std::vector<Comparison>& comparisons) {
  std::string lines;
  for (const Comparison& one : comparisons) lines += "- " + one.claim.text + ": " + with_interval(one) + "\n";
  return lines.empty() ? lines : "\n" + head + ":\n\n" + lines;
}

}  // namespace

Grid::Grid(const papers::Results& results, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    if (row.task.paper != 2 || !row.scale.empty() || row.sees_all) continue;
    rows_.push_back(row);
    if (row.inhibition != "none") continue;
    routers_.push_back(row);
    routers_.back().title = find_row(row.name.substr(0, row.name.find('@'))).title;  // without what all have
  }
  for (const std::string_view inhibition : kInhibitions)
    if (std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) { return row.inhibition == inhibition; }))
      inhibitions_.emplace_back(inhibition);
  for (const auto& run : results.runs()) losses_[{run.at("row"), run.at("seed")}] = papers::number_in(run.at("test"));
}

template <class Change>
const Row* Grid::changed(const Row& row, const Change& change) const {
  Row other = row;
  change(other);
  const auto found = std::find_if(rows_.begin(), rows_.end(), [&](const Row& r) { return key(r) == key(other); });
  return found == rows_.end() ? nullptr : &*found;
}

template <class Fits, class Change>
Grid::Contrast Grid::effect(const Fits& fits, const Change& change) const {
  std::vector<std::pair<const Row*, const Row*>> pairs;
  for (const Row& row : rows_)
    if (fits(row))
      if (const Row* other = changed(row, change); other != nullptr && other != &row) pairs.emplace_back(&row, other);
  Contrast contrast;
  for (const auto& [row, other] : pairs) {
    contrast[row->name] += 1 / static_cast<double>(pairs.size());
    contrast[other->name] -= 1 / static_cast<double>(pairs.size());
  }
  return contrast;
}

Comparison Grid::compare(std::string text, const Contrast& contrast) const {
  std::set<Index> seeds;
  for (const auto& [run, loss] : losses_) seeds.insert(run.second);
  std::vector<double> values;
  for (const Index seed : seeds) {
    const auto has = [&](const auto& part) { return losses_.contains({part.first, seed}); };
    if (contrast.empty() || !std::all_of(contrast.begin(), contrast.end(), has)) continue;
    values.push_back(0);
    for (const auto& [row, weight] : contrast) values.back() += weight * losses_.at({row, seed});
  }
  return papers::compare({std::move(text), -1, std::nullopt}, values);
}

std::vector<Comparison> Grid::claims() const {
  std::vector<Comparison> all;
  const auto add = [&](const std::string& text, const auto& fits, const auto& change) {
    if (auto comparison = compare(text, effect(fits, change)); comparison.seeds > 0) all.push_back(comparison);
  };
  for (const std::string& inhibition : inhibitions_)
    if (inhibition != "none")
      add(
          "inhibition " + inhibition + " − none, mean over routers",
          [&](const Row& row) { return row.inhibition == inhibition; }, kUninhibit);
  for (const std::string inform : {"similarity", "attention"})
    add(
        inform + "-inform − none, mean over inhibitions and routers",
        [&](const Row& row) { return row.inform == inform; }, kUninform);
  return all;
}

std::vector<Comparison> Grid::of_routers() const {
  std::vector<Comparison> all;
  for (const Row& router : routers_) {
    const auto fits = [&](const Row& row) { return row.router == router.router && row.every == router.every; };
    if (auto one = compare(router.title + " − SMoE", effect(fits, kMakeSmoe)); router.inform == "none" && one.seeds > 0)
      all.push_back(std::move(one));
  }
  return all;
}

std::vector<Comparison> Grid::interactions() const {
  std::vector<Comparison> all;
  for (const std::string& inhibition : inhibitions_)
    for (const std::string inform : {"similarity", "attention"}) {
      if (inhibition == "none") continue;
      // What inhibition does to informed routers, less what it does to the same ones uninformed.
      const auto effect_on = [&](const std::string& informed) {
        return effect([&](const Row& row) { return row.inhibition == inhibition && row.inform == informed; },
                      kUninhibit);
      };
      Contrast both = effect_on(inform);
      const Contrast alone = effect_on("none");
      if (both.size() != alone.size()) continue;
      for (const auto& [row, weight] : alone) both[row] -= weight;
      if (auto one = compare(inhibition + " with " + inform + "-inform", both); one.seeds > 0)
        all.push_back(std::move(one));
    }
  return all;
}

std::optional<Comparison> Grid::place(const std::string& inhibition, const Row& router) const {
  const Row* row = changed(router, [&](Row& r) { r.inhibition = inhibition; });
  const Row* base = changed(router, kSimplify);
  if (row == nullptr || base == nullptr || row == base) return std::nullopt;
  return compare("", {{row->name, 1}, {base->name, -1}});
}

std::string Grid::tables() const {
  std::string head = "| Router |", rule = "|---|", lines;
  for (const std::string& inhibition : inhibitions_) {
    head += " " + inhibition + " |";
    rule += "---:|";
  }
  int decided = 0, judged = 0;
  for (const Row& router : routers_) {
    lines += "| " + router.title + " |";
    for (const std::string& inhibition : inhibitions_) {
      const auto one = place(inhibition, router);
      lines += " " + (has_seeds(one) ? with_interval(*one) : "–") + " |";
      judged += has_seeds(one) && one->seeds > 1;
      decided += has_seeds(one) && std::abs(one->mean) > one->half;
    }
    lines += "\n";
  }
  return "\nInhibitions by routers: test loss against the base router alone, nats a word, paired by seed, with 95 % "
         "intervals (Student's t). Of " +
         std::to_string(judged) + " intervals " + std::to_string(decided) + " leave out zero; " +
         text("%.0f", 0.05 * judged) + " would by chance:\n\n" + head + "\n" + rule + "\n" + lines +
         list("Base routers, mean over inhibitions and informs", of_routers()) +
         list("What both do together beyond the sum of each alone, mean over base routers", interactions());
}

nlohmann::json Grid::figures() const {
  std::vector<std::string> labels;
  for (const Row& router : routers_) labels.push_back(router.title);
  nlohmann::json series = nlohmann::json::array(), columns = nlohmann::json::array();
  for (const Row& router : routers_) {
    auto& column = columns.emplace_back(nlohmann::json::array());
    for (const std::string& inhibition : inhibitions_) {
      const auto one = place(inhibition, router);
      column.push_back(has_seeds(one) ? one->mean : 0);
    }
  }
  for (std::size_t i = 0; i < inhibitions_.size(); ++i) {
    nlohmann::json points{{"name", inhibitions_[i]}};
    for (std::size_t r = 0; r < routers_.size(); ++r) {
      const auto one = place(inhibitions_[i], routers_[r]);
      if (!has_seeds(one)) continue;
      const double half = one->seeds > 1 ? one->half : 0;
      points["x"].push_back(static_cast<double>(r) + 0.1 * static_cast<double>(i));
      points["y"].push_back(one->mean);
      points["low"].push_back(one->mean - half);
      points["high"].push_back(one->mean + half);
    }
    if (points.contains("x")) series.push_back(std::move(points));
  }
  const std::string note = "test loss against the base router alone, nats a word";
  std::string order;
  for (const std::string& inhibition : inhibitions_) order += (order.empty() ? "" : ", ") + inhibition;
  return {{{"kind", "ranges"},
           {"title", "Inhibitions by routers, with 95 % intervals"},
           {"note", note},
           {"x", {{"title", ""}, {"labels", labels}}},
           {"y", {{"title", "nats"}}},
           {"series", series}},
          {{"kind", "heat"},
           {"title", "Inhibitions by routers"},
           {"note", note + "; routers as in the chart before, inhibitions from above: " + order},
           {"x", {{"title", "router"}}},
           {"y", {{"title", "inhibition"}}},
           {"values", columns}}};
}

void Grid::draw(const papers::OutputFolder& folder, const std::string& name) const {
  std::string cells, routers, inhibitions;
  for (std::size_t r = 0; r < routers_.size(); ++r) {
    routers += (r > 0 ? ", " : "") + papers::for_gnuplot(routers_[r].title) + " " + std::to_string(r);
    for (std::size_t i = 0; i < inhibitions_.size(); ++i) {
      const auto one = place(inhibitions_[i], routers_[r]);
      if (!has_seeds(one)) continue;
      const bool certain = one->seeds > 1 && std::abs(one->mean) > one->half;
      cells += std::to_string(i) + " " + std::to_string(r) + text(" %.6g \"", one->mean) +
               papers::with_half(3, one->mean, one->half) + (certain ? " *" : "") + "\"\n";
    }
  }
  for (std::size_t i = 0; i < inhibitions_.size(); ++i)
    inhibitions += (i > 0 ? ", " : "") + papers::for_gnuplot(inhibitions_[i]) + " " + std::to_string(i);
  papers::draw(
      folder, name, "1300," + std::to_string(160 + 36 * routers_.size()), "$Places << EOD\n" + cells + "EOD\n",
      "set title 'Test loss against the base router alone, nats a word, with 95 % intervals; *: leaves out zero'\n"
      "stats $Places using 3 nooutput\n"
      "most = abs(STATS_min) > abs(STATS_max) ? abs(STATS_min) : abs(STATS_max)\n"
      "set cbrange [-most:most]\nset palette defined (-1 '#5aa7d6', 0 '#ffffff', 1 '#e8925a')\n"
      "set style fill solid noborder\nset xrange [-.5:" +
          std::to_string(inhibitions_.size()) + "-.5]\nset yrange [" + std::to_string(routers_.size()) +
          "-.5:-.5]\nset xtics (" + inhibitions + ") scale 0\nset ytics (" + routers +
          ") scale 0\nunset key\n"
          "plot $Places using 1:2:(.5):(.5):3 with boxxyerror linecolor palette, "
          "$Places using 1:2:4 with labels font ',10'\n");
}

}  // namespace language_model
