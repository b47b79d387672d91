// Table 1 of the Neural Inhibition paper: does inhibition improve a Mixture of Experts on digits and squares at once?

#include "../../common.hpp"
#include "run.hpp"

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) {
    return mixed_numbers::run_all(mixed_numbers::read_settings(arguments));
  });
}
