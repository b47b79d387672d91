// What the first paper leaves open of post-text inhibition: how the batch before is pooled, what evaluation sees, and
// when the term begins to act.

#include "../language_model/run.hpp"
#include "experiment.hpp"

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) {
    return language_model::run_all(
        language_model::read_settings({.program = "posttext_choices",
                                       .description = kExperiment,
                                       .rows = "choices",
                                       .few = {.rows = "choices", .seeds = 2, .side_by_side = true},
                                       .paper = 1},
                                      arguments));
  });
}
