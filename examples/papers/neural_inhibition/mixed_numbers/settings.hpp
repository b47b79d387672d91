#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <neuroinhib/core/tensor.hpp>

namespace mixed_numbers {

using neuroinhib::Index;

struct Settings {
  std::vector<std::string> rows{"all"};
  std::string recipe = "paper", squares = "recipe";
  Index epochs = 35, seeds = 5, samples = 0, batch = 128, evaluation_batch = 512;
  double learning_rate = 5e-5;
  int threads = 0, replicas = 8;
  std::string device = "cpu";
  double save_seconds = 0;
  std::filesystem::path data, out = "out/mixed_numbers";
  bool resume = false, quick = false;

  [[nodiscard]] bool on_cuda() const { return device != "cpu"; }
  /// N of cuda:N. Throws ConfigError for another text.
  [[nodiscard]] int cuda_device() const;
  /// What a run's result depends on, besides its row and seed: the key under which results are kept and resumed.
  [[nodiscard]] std::string key() const;
};

/// Reads the command line; exits on --help and on bad options, with CLI11's message. Throws ConfigError for a row that
/// is none.
Settings read_settings(int argc, char** argv);

}  // namespace mixed_numbers
