#pragma once

#include <string>
#include <vector>

#include "../../call.hpp"

namespace mixed_numbers {

using neuroinhib::Index;

struct Settings : papers::Call {
  std::string recipe = "paper", squares = "recipe";
  Index epochs = 35, samples = 0, batch = 128, evaluation_batch = 512, drawings = 1;
  double learning_rate = 5e-5;
  int replicas = 8;

  [[nodiscard]] bool is_research() const { return recipe == "research"; }

  /// What a run's result depends on, besides its row, its seed and the data: the key under which results are kept and
  /// resumed.
  [[nodiscard]] std::string key() const;
};

/// Reads the command line, without the program's name. Throws ConfigError, and HelpWanted for --help.
Settings read_settings(const std::vector<std::string>& arguments);

}  // namespace mixed_numbers
