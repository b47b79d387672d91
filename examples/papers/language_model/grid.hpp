#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../results.hpp"
#include "../verdicts.hpp"
#include "rows.hpp"

namespace language_model {

/// Rows of one task of the second paper as a grid, inhibitions by routers, each router plain and informed. Test losses
/// are compared in contrasts: sums of rows with weights, whose value every seed has that all of these rows have.
class Grid {
 public:
  /// Rows of the first paper, with a scale of their own or without a mask stay out.
  Grid(const papers::Results& results, const std::vector<Row>& rows);

  /// Whether it has more than one line and one column.
  [[nodiscard]] bool is_drawn() const { return inhibitions_.size() > 1 && routers_.size() > 1; }
  /// Each inhibition against none, and each inform against none, averaged over all else.
  [[nodiscard]] std::vector<papers::Comparison> claims() const;
  /// Every place against its base router alone; base routers against SMoE; whether what informs a router adds to what
  /// inhibits it.
  [[nodiscard]] std::string tables() const;
  /// The places as NAME.png and NAME.svg.
  void draw(const papers::OutputFolder& folder, const std::string& name) const;
  /// The places with their intervals, as charts of results.json.
  [[nodiscard]] nlohmann::json figures() const;

 private:
  using Contrast = std::map<std::string, double>;  ///< weights by the names of rows

  /// The row that differs from another in what change(row) changes; null for none.
  template <class Change>
  [[nodiscard]] const Row* changed(const Row& row, const Change& change) const;
  /// The mean difference between the rows that `fits` names and the same ones changed, over those that have one.
  template <class Fits, class Change>
  [[nodiscard]] Contrast effect(const Fits& fits, const Change& change) const;
  /// Of a row against its base router alone; none for that itself, and for a place without a row.
  [[nodiscard]] std::optional<papers::Comparison> place(const std::string& inhibition, const Row& router) const;
  [[nodiscard]] papers::Comparison compare(std::string text, const Contrast& contrast) const;
  [[nodiscard]] std::vector<papers::Comparison> of_routers() const;
  [[nodiscard]] std::vector<papers::Comparison> interactions() const;

  std::vector<Row> rows_, routers_;  ///< `routers_`: those without inhibition
  std::vector<std::string> inhibitions_;
  std::map<std::pair<std::string, Index>, double> losses_;  ///< of a row with a seed
};

}  // namespace language_model
