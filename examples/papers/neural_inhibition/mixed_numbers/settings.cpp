#include "settings.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "../../common.hpp"
#include "rows.hpp"

namespace mixed_numbers {

using neuroinhib::ConfigError;
using neuroinhib::fail;

std::string Settings::key() const {
  char rate[32];
  std::snprintf(rate, sizeof rate, "%g", learning_rate);
  return "recipe " + recipe + ", squares " + squares + ", epochs " + std::to_string(epochs) + ", samples " +
         std::to_string(samples) + ", batch " + std::to_string(batch) + ", learning rate " + rate;
}

int Settings::cuda_device() const {
  return papers::cuda_device(device);
}

Settings read_settings(int argc, char** argv) {
  Settings s;
  CLI::App app(
      "Table 1 of \"Neural Inhibition Improves Dynamic Routing and Mixture of Experts\": the mixed-numbers "
      "experiment.");
  std::string names = "all";
  for (const Row& row : kRows) names += ", " + std::string(row.name);
  app.add_option("--rows", s.rows, "rows of the table, comma-separated: " + names)
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--recipe", s.recipe, "paper: as the research code; clean: as the equations")
      ->check(CLI::IsMember({"paper", "clean"}))
      ->capture_default_str();
  app.add_option("--squares", s.squares, "how the squares are drawn; recipe: paper or clean, as --recipe")
      ->check(CLI::IsMember({"recipe", "paper", "clean", "stoianov_zorzi"}))
      ->capture_default_str();
  auto* epochs = app.add_option("--epochs", s.epochs)->check(CLI::PositiveNumber)->capture_default_str();
  auto* seeds =
      app.add_option("--seeds", s.seeds, "runs of each row")->check(CLI::PositiveNumber)->capture_default_str();
  auto* samples =
      app.add_option("--samples", s.samples, "images, half of them digits; 0: as many as there are digits for")
          ->check(CLI::NonNegativeNumber)
          ->capture_default_str();
  app.add_option("--batch", s.batch)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--evaluation-batch", s.evaluation_batch,
                 "images at a time when evaluating; results do not depend on it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  auto* rate = app.add_option("--lr", s.learning_rate, "Adam's learning rate")
                   ->check(CLI::PositiveNumber)
                   ->capture_default_str();
  app.add_option("--threads", s.threads, "of the CPU; 0: all processors")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--device", s.device, "cpu, or cuda:0 for the first GPU")->capture_default_str();
  app.add_option("--replicas", s.replicas, "runs at a time on a GPU; each gives the result it gives alone")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--save-seconds", s.save_seconds,
                 "least time between two checkpoints; 0: after every epoch, which on a GPU takes longer than the epoch")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option(
      "--data", s.data,
      "folder with MNIST's four IDX files, plain or .gz, there or under mnist/; without it: built-in digits");
  app.add_option("--out", s.out, "folder for results, table, curves and checkpoints")->capture_default_str();
  app.add_flag("--resume", s.resume, "go on from the output folder");
  app.add_flag("--quick", s.quick,
               "a small profile for two cores: 16,000 samples, 4 epochs, 1 seed, learning rate 4e-4");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (s.quick) {
    if (epochs->empty()) s.epochs = 4;
    if (seeds->empty()) s.seeds = 1;
    if (samples->empty()) s.samples = 16000;
    if (rate->empty()) s.learning_rate = 4e-4;
  }
  if (s.on_cuda()) (void)s.cuda_device();
  if (s.squares == "recipe") s.squares = s.recipe;
  if (std::find(s.rows.begin(), s.rows.end(), "all") != s.rows.end()) {
    s.rows.clear();
    for (const Row& row : kRows) s.rows.emplace_back(row.name);
  }
  for (const std::string& row : s.rows)
    if (std::none_of(kRows.begin(), kRows.end(), [&](const Row& known) { return known.name == row; }))
      fail<ConfigError>("--rows", "rows among " + names, row, "separate them by commas");
  return s;
}

}  // namespace mixed_numbers
