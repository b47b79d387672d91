#include "settings.hpp"

#include "experiment.hpp"
#include "rows.hpp"
#include "training_options.hpp"

namespace mixed_numbers {

using namespace papers;

std::string Settings::key() const {
  return "recipe " + recipe + ", squares " + squares + ", epochs " + shortest(epochs) + ", samples " +
         shortest(samples) + ", batch " + shortest(batch) + ", learning rate " + shortest(learning_rate) +
         (drawings > 1 ? ", drawings " + shortest(drawings) : "") +
         (is_research() ? ", evaluation batch " + shortest(evaluation_batch) : "") + precision_text();
}

Settings read_settings(const std::vector<std::string>& arguments) {
  Settings s;
  s.seeds = 5;
  s.out = "out/mixed_numbers";
  Options options("mixed_numbers", kExperiment);
  add_training_options(options, s, kRows);
  options.number("--drawings", s.drawings);
  options.number("--replicas", s.replicas);
  parse(options, arguments, s, 1);
  if (options.given("--replicas") && !s.on_cuda())
    fail<ConfigError>("--replicas", "a GPU to run them on", "the CPU", "add --device cuda:0, or leave it out");
  return s;
}

}  // namespace mixed_numbers
