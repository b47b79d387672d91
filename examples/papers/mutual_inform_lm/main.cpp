// The language models of Mutual-Inform SMoE: does routing in which words inform each other predict the next word
// better?

#include "../language_model/run.hpp"
#include "experiment.hpp"

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) {
    return language_model::run_all(language_model::read_settings(
        {.program = "mutual_inform_lm",
         .description = kExperiment,
         .rows = "table3,table3@loss",
         .few = {"smoe,smoe-similarity,smoe-attention,smoe@loss,smoe-similarity@loss,smoe-attention@loss"},
         .paper = 2},
        arguments));
  });
}
