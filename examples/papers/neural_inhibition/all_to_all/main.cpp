// What the Neural Inhibition paper leaves as future work: does it help that every layer inhibits every other?

#include "../../common.hpp"
#include "../mixed_numbers/run.hpp"
#include "experiment.hpp"

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) {
    using namespace mixed_numbers;
    return run_all(read_settings({.program = "all_to_all",
                                  .description = kExperiment,
                                  .rows = {row_of("moe"), row_of("glu"), row_of("global"), row_of("all-to-all")},
                                  .quick_seeds = 2},
                                 arguments));
  });
}
