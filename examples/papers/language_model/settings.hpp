#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "rows.hpp"

namespace language_model {

/// Extents of a network and how it is trained.
struct Network {
  std::string name;
  Index blocks = 0, width = 0, heads = 0, experts = 0, chosen = 0, length = 0, batch = 0;
  double learning_rate = 0;
  Index warmup = 0;
  double dropout = 0;
  Index vocabulary = 0, steps = 0, epoch_steps = 0;
};

struct Settings {
  std::vector<std::string> rows;
  std::filesystem::path data, out = "out/language_model";
  std::string size = "medium", device = "cpu", precision = "tf32", compare = "features", head = "average";
  Index seeds = 1, sentences = 0, evaluation_rows = 0;
  double temperature = 1, deviation = 1, attack = 0.2;
  int threads = 0;
  double save_seconds = 60;
  bool resume = false, quick = false;
  Network first, second;  ///< of the two papers

  [[nodiscard]] bool on_cuda() const { return device != "cpu"; }
  [[nodiscard]] const Network& network(const Row& row) const { return row.paper == 1 ? first : second; }
  /// What a run's result depends on, besides its row and seed: the key under which results are kept and resumed.
  [[nodiscard]] std::string key() const;
};

/// Reads the command line; exits on --help and on bad options, with CLI11's message. Throws ConfigError for a row that
/// is none.
Settings read_settings(int argc, char** argv);

}  // namespace language_model
