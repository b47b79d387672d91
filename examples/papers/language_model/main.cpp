// Language models of two papers on real text: does inhibition, or mutual-inform routing, predict the next word better?

#include "run.hpp"

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) {
    return language_model::run_all(language_model::read_settings(arguments));
  });
}
