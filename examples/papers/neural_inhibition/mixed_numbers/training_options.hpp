#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "../../options.hpp"
#include "settings.hpp"

namespace mixed_numbers {

/// The rows of a list of names. Throws ConfigError for a name that is no row, and for a row named twice.
inline std::vector<std::string> read_rows(const std::string& text, const std::vector<std::string>& names) {
  using namespace papers;
  std::vector<std::string> rows;
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

/// Says where the options of trainings on mixed numbers go; `s` holds the defaults and outlives the parsing.
inline void add_training_options(papers::Options& options, Settings& s, const std::vector<std::string>& rows) {
  s.rows = rows;
  options.names("--rows", "all", [&s, rows](const std::string& text) { s.rows = read_rows(text, rows); });
  options.choice("--recipe", s.recipe);
  options.choice("--squares", s.squares);
  options.number("--epochs", s.epochs);
  options.number("--samples", s.samples);
  options.number("--batch", s.batch);
  options.number("--evaluation-batch", s.evaluation_batch);
  options.number("--lr", s.learning_rate);
  papers::add_call_options(options, s);
}

/// What follows from the options once they are parsed; `quick_seeds` is the small profile's. Throws ConfigError.
inline void settle(papers::Options& options, Settings& s, Index quick_seeds) {
  using namespace papers;
  s.command = options.command();
  if (s.samples % 2 != 0)
    fail<ConfigError>("--samples", "an even number, since half are digits", shortest(s.samples),
                      "give one more or one less");
  if (s.profile == Profile::quick) {
    if (!options.given("--epochs")) s.epochs = 4;
    if (!options.given("--seeds")) s.seeds = quick_seeds;
    if (!options.given("--samples")) s.samples = 16000;
    if (!options.given("--lr")) s.learning_rate = 4e-4;
  }
  if (s.squares == "recipe") s.squares = s.recipe;
}

}  // namespace mixed_numbers
