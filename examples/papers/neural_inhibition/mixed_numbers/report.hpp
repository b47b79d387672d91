#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "../../results.hpp"
#include "settings.hpp"

namespace mixed_numbers {

/// The finished runs of the experiment, and how they are shown: results.json, the table in Markdown and on the
/// terminal, and pictures.
class Report {
 public:
  /// Takes up the finished runs of an earlier call where it resumes. `source` says what the images are, and `data`
  /// tells them apart from others. Throws FormatError for a damaged results.json, ConfigError for one of other
  /// settings.
  Report(const papers::OutputFolder& folder, const Settings& settings, const std::string& source,
         const std::string& data, const std::string& machine);

  [[nodiscard]] bool has(const std::string& row, Index seed) const { return results_.has(row, seed); }
  /// Adds a run and saves results.json.
  void add(nlohmann::json run);
  /// Judges the published claims; writes table.md and, where gnuplot is installed, the pictures; prints the table.
  void show();

 private:
  [[nodiscard]] std::vector<double> values(std::string_view row, const char* measure) const;
  /// Test accuracies of a row minus another's, for the seeds that both have.
  [[nodiscard]] std::vector<double> differences(std::string_view row, std::string_view other) const;
  /// The paper's claims that have runs, judged.
  [[nodiscard]] nlohmann::json verdicts() const;
  /// Rows that the paper does not have against MoE, GLU and Global: a list in Markdown; empty below two seeds.
  [[nodiscard]] std::string comparisons() const;
  /// What is scaled down from the paper's experiment.
  [[nodiscard]] std::string scale() const;
  [[nodiscard]] std::string table() const;
  /// What all pictures' scripts use: a title, and the number of epochs.
  [[nodiscard]] std::string definitions(const std::string& what) const;
  /// test: accuracies of all images, digits and squares, each seed, means with deviations, the published values.
  void draw_test() const;
  /// curves: validation accuracy of digits and of squares by epoch, means with bands of one deviation over seeds.
  void draw_curves() const;
  /// numbers: test accuracy of each number of squares, a line a run, the runs of a row by their accuracy.
  void draw_numbers() const;
  /// Lines of a row's epochs, mean, mean − deviation and mean + deviation of digits, then of squares; empty where it
  /// has no runs.
  [[nodiscard]] std::string curve(std::string_view row) const;

  std::string command_;
  papers::Results results_;
};

}  // namespace mixed_numbers
