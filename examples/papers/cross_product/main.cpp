// Inhibition of the first paper in the routers of the second: do they help each other?

#include "../language_model/run.hpp"
#include "experiment.hpp"

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) {
    const language_model::Network small{.blocks = 2,
                                        .width = 32,
                                        .heads = 4,
                                        .experts = 8,
                                        .chosen = 2,
                                        .length = 32,
                                        .batch = 16,
                                        .learning_rate = 3e-3,
                                        .warmup = 20,
                                        .vocabulary = 1000,
                                        .steps = 120,
                                        .epoch_steps = 40};
    return language_model::run_all(language_model::read_settings({.program = "cross_product",
                                                                  .description = kExperiment,
                                                                  .rows = "cross@loss",
                                                                  .few = {.rows = "cross@loss",
                                                                          .seeds = 3,
                                                                          .sentences = 1500,
                                                                          .evaluation_rows = 256,
                                                                          .network = small,
                                                                          .side_by_side = true},
                                                                  .paper = 2},
                                                                 arguments));
  });
}
