#include "settings.hpp"

#include "../../options.hpp"
#include "rows.hpp"

namespace mixed_numbers {

using namespace papers;

namespace {

/// The rows of a list of names. Throws ConfigError for a name that is no row, and for a row named twice.
std::vector<std::string> read_rows(const std::string& text) {
  std::vector<std::string> names, rows;
  for (const Row& row : kRows) names.emplace_back(row.name);
  for (const std::string& name : split_at_commas(text)) {
    const bool all = name == "all";
    if (!all && std::find(names.begin(), names.end(), name) == names.end())
      fail<ConfigError>("--rows", "all, " + either(names), '"' + name + '"',
                        suggestion(name, names) + "separate rows by commas");
    for (const std::string& row : all ? names : std::vector{name}) {
      if (std::find(rows.begin(), rows.end(), row) != rows.end())
        fail<ConfigError>("--rows", "each row once", row + " twice", "name it once; all means every row");
      rows.push_back(row);
    }
  }
  return rows;
}

}  // namespace

std::string Settings::key() const {
  return "recipe " + recipe + ", squares " + squares + ", epochs " + shortest(epochs) + ", samples " +
         shortest(samples) + ", batch " + shortest(batch) + ", learning rate " + shortest(learning_rate);
}

Settings read_settings(const std::vector<std::string>& arguments) {
  Settings s;
  s.seeds = 5;
  s.out = "out/mixed_numbers";
  s.rows = read_rows("all");
  Options options("mixed_numbers",
                  "Table 1 of \"Neural Inhibition Improves Dynamic Routing and Mixture of Experts\": the mixed-numbers "
                  "experiment.");
  options.value("--rows", "NAMES", "rows of the table, separated by commas: all, " + either(s.rows) + " (default all)",
                [&](const std::string& text) { s.rows = read_rows(text); });
  options.choice("--recipe", s.recipe, {"paper", "clean"},
                 "as the research code (paper) or as the paper's equations (clean)");
  options.choice("--squares", s.squares, {"recipe", "paper", "clean", "stoianov_zorzi"},
                 "how the squares are drawn; recipe: as the recipe has them");
  options.number("--epochs", s.epochs, {1, 10000}, "passes over the training images");
  options.number("--samples", s.samples, {0, 10000000},
                 "images, half of them digits; 0: as many as there are digits for");
  options.number("--batch", s.batch, {1, 65536}, "images a training step");
  options.number("--evaluation-batch", s.evaluation_batch, {1, 65536},
                 "images at a time in an evaluation; results do not depend on it");
  options.number("--lr", s.learning_rate, {1e-12, 1}, "Adam's learning rate");
  options.number("--replicas", s.replicas, {1, 256}, "runs at a time on a GPU; each gives the result it gives alone");
  add_call_options(options, s,
                   "folder with MNIST's four IDX files, plain or .gz, there or under mnist/ (default: built-in digits, "
                   "which are not MNIST)",
                   "a small profile for two cores: 16,000 samples, 4 epochs, 1 seed, learning rate 4e-4");
  parse_call(options, arguments);
  if (options.given("--replicas") && !s.on_cuda())
    fail<ConfigError>("--replicas", "a GPU to run them on", "the CPU", "add --device cuda:0, or leave it out");
  if (s.samples % 2 != 0)
    fail<ConfigError>("--samples", "an even number, since half are digits", shortest(s.samples),
                      "give one more or one less");
  if (s.profile == Profile::quick) {
    if (!options.given("--epochs")) s.epochs = 4;
    if (!options.given("--seeds")) s.seeds = 1;
    if (!options.given("--samples")) s.samples = 16000;
    if (!options.given("--lr")) s.learning_rate = 4e-4;
  }
  if (s.squares == "recipe") s.squares = s.recipe;
  return s;
}

}  // namespace mixed_numbers
