#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "../results.hpp"
#include "../verdicts.hpp"
#include "images.hpp"
#include "rows.hpp"

namespace vision {

/// All runs so far: results.json, kept up to date run by run, and the tables and pictures made of it.
class Report {
 public:
  /// Takes up what is in the folder, where the settings resume. Throws ConfigError for results of other options or
  /// images, FormatError for a damaged results.json.
  Report(const papers::OutputFolder& folder, const Settings& settings, const Images& images,
         const std::string& machine);

  [[nodiscard]] bool has(const std::string& row, Index seed) const { return results_.has(row, seed); }
  /// Adds a run's entry and saves.
  void add(nlohmann::json run);
  /// Adds verdicts to results.json, writes table.md and pictures, and prints the table.
  void show();

 private:
  /// What a run has of one kind.
  using Measure = std::function<double(const nlohmann::json&)>;
  /// A column of table 2.
  struct Column {
    std::string title;
    Measure measure;
    std::optional<std::size_t> published;  ///< number of the published column that it stands for
  };

  [[nodiscard]] std::vector<Column> columns() const;
  [[nodiscard]] std::vector<Row> rows() const;
  [[nodiscard]] std::string table() const;
  [[nodiscard]] std::string caption() const;
  [[nodiscard]] std::vector<papers::Comparison> comparisons() const;
  [[nodiscard]] papers::Circumstances circumstances() const;
  [[nodiscard]] std::string by_name(const char* kind, const std::string& title) const;
  [[nodiscard]] std::string routing() const;
  /// The accuracy in percent, mean over corruptions; severity 0 is the clean test.
  [[nodiscard]] papers::Summary at_severity(const Row& row, int severity) const;
  [[nodiscard]] nlohmann::json figures() const;
  void draw_loads() const;

  const Settings& settings_;
  std::string outliers_;
  papers::Results results_;
};

}  // namespace vision
