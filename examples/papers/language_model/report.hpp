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
  /// Takes up the results in the output folder when resuming. `data` by task. Throws ConfigError where they are of
  /// other options or another text, FormatError for a damaged results.json.
  Report(const papers::OutputFolder& folder, const Settings& settings, const std::map<Task, Data>& data,
         const std::string& machine);

  [[nodiscard]] bool has(const std::string& row, Index seed) const { return results_.has(row, seed); }
  void add(nlohmann::json run);
  /// Judges the published claims; writes the tables and, where gnuplot is installed, the learning curves; prints the
  /// tables.
  void show();

 private:
  /// The tasks that have runs, and a task's rows.
  [[nodiscard]] std::vector<Task> tasks() const;
  [[nodiscard]] std::vector<Row> rows_of(const Task& task) const;
  [[nodiscard]] std::string table(const Task& task) const;
  /// Test losses of a row minus another's, or another measure, for the seeds that both have.
  [[nodiscard]] std::vector<double> differences(const std::string& row, const std::string& other,
                                                const char* measure = "test") const;
  /// The published claims that have runs and whose base row's load has not collapsed.
  [[nodiscard]] std::vector<RowClaim> claims(const Task& task) const;
  /// The same, judged, with what else was published of these rows.
  [[nodiscard]] nlohmann::json verdicts(const Task& task) const;
  /// Table 7's claims that have runs, judged.
  [[nodiscard]] nlohmann::json slower(const Task& task) const;
  /// Mean over layers and seeds; whether that of a row of the second paper is nearer to M, the fewest there can be,
  /// than to all K; the base rows of which that is so, as a list.
  [[nodiscard]] double effective_experts(const Row& row) const;
  [[nodiscard]] bool has_collapsed(const Row& row) const;
  [[nodiscard]] std::string collapsed(const std::vector<Row>& rows) const;
  /// What is scaled down from the published experiment.
  [[nodiscard]] std::string scale(const Task& task) const;
  void draw() const;
  /// Fluctuation and entropy by layer, as charts; none for the first paper's rows, and without a base row.
  [[nodiscard]] nlohmann::json layers_of(const Task& task) const;
  /// curves: training loss and validation perplexity by step, means with bands of one deviation over seeds; a line of
  /// pictures a task. Of more rows than can be told apart, those without inhibition.
  void draw_curves() const;
  /// Lines of a row's epochs: step, then mean, mean − deviation and mean + deviation of loss, then of perplexity.
  [[nodiscard]] std::string curve(const Row& row) const;
  [[nodiscard]] std::string comparisons(const std::vector<Row>& rows, const std::string& against) const;
  [[nodiscard]] std::string attacks(const std::vector<Row>& rows) const;
  /// Of each run of a row, a forward pass's measure over that of the row without what informs it.
  [[nodiscard]] std::vector<double> pass_ratios(const Row& row, const std::string& measure) const;
  [[nodiscard]] std::string passes(const std::vector<Row>& rows) const;
  [[nodiscard]] std::string domains(const std::vector<Row>& rows) const;
  [[nodiscard]] std::string routing(const std::vector<Row>& rows) const;
  [[nodiscard]] std::string domain_head(const std::string& last = "") const;
  [[nodiscard]] std::string layers(const std::vector<Row>& rows, const std::string& against) const;

  const Settings& settings_;
  papers::Results results_;
};

}  // namespace language_model
