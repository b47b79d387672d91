#pragma once

#include <map>
#include <string>
#include <vector>

#include "../results.hpp"
#include "training.hpp"

namespace language_model {

/// All runs so far: results.json, kept up to date run by run, and the tables made of it.
class Report {
 public:
  /// Takes up the results in the output folder when resuming. `data` by paper. Throws ConfigError where they are of
  /// other options or another text, FormatError for a damaged results.json.
  Report(const papers::OutputFolder& folder, const Settings& settings, const std::map<int, Data>& data,
         const std::string& machine);

  [[nodiscard]] bool has(const std::string& row, Index seed) const { return results_.has(row, seed); }
  void add(nlohmann::json run);
  /// Writes the tables and, where gnuplot is installed, the learning curves; prints the tables.
  void show() const;

 private:
  /// measure(run) of a row's runs.
  template <class Measure>
  [[nodiscard]] std::vector<double> values(const std::string& row, const Measure& measure) const;
  /// The paper's rows that have runs.
  [[nodiscard]] std::vector<Row> rows_of(int paper) const;
  [[nodiscard]] std::string table(int paper) const;
  /// curves: training loss and validation perplexity by step, means with bands of one deviation over seeds; a line of
  /// pictures a paper.
  void draw_curves() const;
  /// Lines of a row's epochs: step, then mean, mean − deviation and mean + deviation of loss, then of perplexity.
  [[nodiscard]] std::string curve(const Row& row) const;
  [[nodiscard]] std::string comparisons(const std::vector<Row>& rows, const std::string& against) const;
  [[nodiscard]] std::string domains(const std::vector<Row>& rows) const;
  [[nodiscard]] std::string routing(const std::vector<Row>& rows) const;
  [[nodiscard]] std::string domain_head(const std::string& last = "") const;
  [[nodiscard]] std::string layers(const std::vector<Row>& rows, const std::string& against) const;

  const Settings& settings_;
  papers::Results results_;
};

}  // namespace language_model
