#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "../informed.hpp"
#include "rows.hpp"

namespace language_model {

/// Extents of a network and how it is trained.
struct Network {
  Index blocks = 0, width = 0, heads = 0, experts = 0, chosen = 0, length = 0, batch = 0;
  double learning_rate = 0;
  Index warmup = 0;
  double dropout = 0;
  Index vocabulary = 0;
  Index steps = 0;        ///< 0: three epochs of the data
  Index epoch_steps = 0;  ///< steps between two evaluations; 0: a third of all
  Index spans = 0;        ///< in rows @published: lengths before a word that it sees

  /// For people to read: "2 × 50, 2 heads, 3 of 10 experts".
  [[nodiscard]] std::string name() const;
};

/// How trained models are tuned on a task of classes.
struct Tuning {
  Index steps = 0, batch = 0;
  double learning_rate = 0;
};

struct Settings : papers::Call, papers::Informed {
  std::string size = "medium";
  Index sentences = 0, evaluation_rows = 0;
  std::vector<double> attacks{0.2};                  ///< shares of words swapped, the first the tables'
  int replicas = 1;                                  ///< runs at a time
  std::optional<Tuning> tuning{};                    ///< where the experiment tunes
  std::filesystem::path tasks;                       ///< of classes, to tune on
  Index telemetry = 0;                               ///< of so many training steps one is recorded; 0: none
  Network first, first_large, second, second_large;  ///< the papers' networks, and for tasks that are large
  Network published, published_large;                ///< the second paper's of rows @published
  std::string program;                               ///< whose settings they are

  [[nodiscard]] Network network(const Task& task) const;
  /// "0.2, 0.4".
  [[nodiscard]] std::string attacks_text() const;
  /// What a run's result depends on, besides its row, its seed and the text: the key under which results are kept and
  /// resumed.
  [[nodiscard]] std::string key() const;
};

/// The small profile of an experiment.
struct Few {
  std::string rows;  ///< unless told otherwise
  Index seeds = 1, sentences = 3000, evaluation_rows = 512;
  std::optional<Network> network{};  ///< instead of the second paper's
  bool side_by_side = false;         ///< on the CPU: as many runs at a time as processors, of one thread each
  std::optional<Tuning> tuning{};    ///< where the experiment tunes
};
/// An experiment of this folder's networks.
struct Experiment {
  std::string program;      ///< its name
  const char* description;  ///< what papers_read_experiment() made
  std::string rows;         ///< unless told otherwise
  Few few;
  std::optional<Tuning> tuning{};  ///< where it tunes
  int paper = 0;                   ///< whose rows; 0: of both
};
/// Reads its command line, without the program's name. Throws ConfigError, and HelpWanted for --help.
Settings read_settings(const Experiment& experiment, const std::vector<std::string>& arguments);
/// The same of experiment language-model.
Settings read_settings(const std::vector<std::string>& arguments);

}  // namespace language_model
