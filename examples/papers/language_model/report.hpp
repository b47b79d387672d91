#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "settings.hpp"

namespace language_model {

/// All runs so far: results.json, kept up to date run by run, and the tables made of it.
class Report {
 public:
  /// Takes up the results in the output folder when resuming. Throws ConfigError where they are of other options, IoError.
  Report(const Settings& settings, const Corpus& corpus, const std::string& machine);

  [[nodiscard]] bool has(const std::string& row, Index seed) const;
  void add(nlohmann::json run);
  /// Writes the tables and prints them.
  void show() const;

 private:
  [[nodiscard]] std::filesystem::path path(const char* name) const { return settings_.out / name; }
  void take_up(const std::string& key);
  void save() const;
  /// measure(run) of a row's runs.
  template <class Measure>
  [[nodiscard]] std::vector<double> values(const std::string& row, const Measure& measure) const;
  [[nodiscard]] std::string machines(const std::vector<Row>& rows) const;
  [[nodiscard]] std::string table(int paper) const;
  [[nodiscard]] std::string comparisons(const std::vector<Row>& rows, const std::string& against) const;
  [[nodiscard]] std::string domains(const std::vector<Row>& rows) const;
  [[nodiscard]] std::string layers(const std::vector<Row>& rows, const std::string& against) const;

  const Settings& settings_;
  nlohmann::json results_;
};

}  // namespace language_model
