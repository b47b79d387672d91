#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../../results.hpp"
#include "settings.hpp"

namespace mixed_numbers {

/// The finished runs of an experiment, and how they are shown: results.json, the table in Markdown and on the terminal,
/// and the learning curves.
class Report {
 public:
  /// Takes up the finished runs of an earlier call where it resumes. Throws IoError where the output folder cannot be
  /// made, FormatError for a damaged results.json, ConfigError for one of other settings.
  Report(const Settings& settings, const std::string& source, const std::string& machine);

  [[nodiscard]] bool has(const std::string& row, Index seed) const { return results_.has(row, seed); }
  /// Adds a run and saves results.json.
  void add(nlohmann::json run);
  /// Writes table.md and curves.png (the latter where gnuplot is installed) and prints the table.
  void show() const;

 private:
  [[nodiscard]] std::vector<double> values(std::string_view row, const char* measure) const;
  /// Test accuracies of a row minus another's, for the seeds that both have.
  [[nodiscard]] std::vector<double> differences(std::string_view row, std::string_view other) const;
  /// Each row against MoE, and global against GLU: a list in Markdown; empty below two seeds.
  [[nodiscard]] std::string comparisons() const;
  /// "epoch mean" lines of a row's validation accuracy over its seeds; empty where it has no runs.
  [[nodiscard]] std::string curve(std::string_view row) const;
  [[nodiscard]] std::string table() const;
  void draw_curves() const;

  Settings settings_;
  papers::Results results_;
};

}  // namespace mixed_numbers
