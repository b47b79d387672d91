#pragma once

#include <string>
#include <vector>

#include "../../call.hpp"
#include "rows.hpp"

namespace mixed_numbers {

using neuroinhib::Index;

struct Settings : papers::Call {
  std::string recipe = "paper", squares = "recipe";
  Index epochs = 35, samples = 0, batch = 128, evaluation_batch = 512, drawings = 1;
  double learning_rate = 5e-5;
  int replicas = 8;
  std::string program = "mixed_numbers";  ///< whose settings they are

  [[nodiscard]] bool is_research() const { return recipe == "research"; }

  /// What a run's result depends on, besides its row, its seed and the data: the key under which results are kept and
  /// resumed.
  [[nodiscard]] std::string key() const;
};

/// An experiment that trains on mixed numbers.
struct Experiment {
  std::string program;      ///< its name
  const char* description;  ///< what papers_read_experiment() made
  std::vector<Row> rows;    ///< that there are
  Index quick_seeds;        ///< of the small profile
};
/// Reads its command line, without the program's name. Throws ConfigError, and HelpWanted for --help.
Settings read_settings(const Experiment& experiment, const std::vector<std::string>& arguments);
/// The same of experiment mixed-numbers.
Settings read_settings(const std::vector<std::string>& arguments);

}  // namespace mixed_numbers
