#pragma once

#include <string>
#include <vector>

#include "../language_model/training.hpp"
#include "../results.hpp"
#include "tasks.hpp"

namespace fine_tuning {

using language_model::Row;
using language_model::Settings;

/// A run's name: a row, and behind it, apart from the run that trains it on text, its task.
struct RunName {
  std::string row, task;  ///< `task` empty: on text

  explicit RunName(const std::string& name);
  RunName(std::string of_row, std::string of_task) : row(std::move(of_row)), task(std::move(of_task)) {}
  [[nodiscard]] std::string text() const { return task.empty() ? row : row + ":" + task; }
};

/// All runs so far: results.json, kept up to date run by run, and the table made of it.
class Report {
 public:
  /// Takes up the results in the output folder when resuming. Throws ConfigError where they are of other options,
  /// another text or other tasks.
  Report(const papers::OutputFolder& folder, const Settings& settings, const language_model::Data& text,
         const std::vector<Task>& tasks, const std::string& machine);

  [[nodiscard]] bool has(const std::string& row, Index seed) const { return results_.has(row, seed); }
  void add(nlohmann::json run);
  /// Judges table 4's claims; writes the table and, where gnuplot is installed, a picture; prints the table.
  void show();

 private:
  [[nodiscard]] std::vector<Row> rows() const;
  [[nodiscard]] std::vector<double> accuracies(const std::string& row, const std::string& task) const;
  [[nodiscard]] std::string table() const;
  [[nodiscard]] nlohmann::json verdicts() const;
  [[nodiscard]] nlohmann::json figure() const;
  [[nodiscard]] std::string scale() const;
  void draw() const;

  const Settings& settings_;
  const std::vector<Task>& tasks_;
  papers::Results results_;
};

}  // namespace fine_tuning
