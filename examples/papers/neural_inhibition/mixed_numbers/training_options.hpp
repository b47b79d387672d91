#pragma once

#include <string>
#include <vector>

#include "../../options.hpp"
#include "settings.hpp"

namespace mixed_numbers {

/// Says where the options of trainings on mixed numbers go; `s` holds the defaults and outlives the parsing.
template <class Table>
void add_training_options(papers::Options& options, Settings& s, const Table& rows) {
  papers::add_rows(options, s, rows);
  options.choice("--recipe", s.recipe);
  options.choice("--squares", s.squares);
  options.number("--epochs", s.epochs);
  options.number("--samples", s.samples);
  options.number("--batch", s.batch);
  options.number("--evaluation-batch", s.evaluation_batch);
  options.number("--lr", s.learning_rate);
}

/// Parses them, and what follows; `quick_seeds` is the small profile's. Throws ConfigError.
inline void parse(papers::Options& options, const std::vector<std::string>& arguments, Settings& s, Index quick_seeds) {
  using namespace papers;
  papers::parse(options, arguments, s);
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
