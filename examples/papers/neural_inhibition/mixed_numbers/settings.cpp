#include "settings.hpp"

#include "../../options.hpp"
#include "experiment.hpp"
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
  Options options("mixed_numbers", kExperiment);
  options.names("--rows", "all", [&](const std::string& text) { s.rows = read_rows(text); });
  options.choice("--recipe", s.recipe);
  options.choice("--squares", s.squares);
  options.number("--epochs", s.epochs);
  options.number("--samples", s.samples);
  options.number("--batch", s.batch);
  options.number("--evaluation-batch", s.evaluation_batch);
  options.number("--lr", s.learning_rate);
  options.number("--replicas", s.replicas);
  add_call_options(options, s);
  options.parse(arguments);
  s.command = options.command();
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
