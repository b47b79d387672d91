#include "settings.hpp"

#include "experiment.hpp"
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
  return read_settings({"mixed_numbers", kExperiment, {kTable1.begin(), kTable1.end()}, 1}, arguments);
}

Settings read_settings(const Experiment& experiment, const std::vector<std::string>& arguments) {
  Settings s;
  s.program = experiment.program;
  s.seeds = 5;
  s.out = "out/" + experiment.program;
  Options options(experiment.program, experiment.description);
  add_training_options(options, s, experiment.rows);
  options.number("--drawings", s.drawings);
  options.number("--replicas", s.replicas);
  options.number("--ranks", s.ranks);
  parse(options, arguments, s, experiment.quick_seeds);
  if (options.given("--replicas") && !s.on_cuda())
    fail<ConfigError>("--replicas", "a GPU to run them on", "the CPU", "add --device cuda:0, or leave it out");
  if (s.ranks > 1 && s.is_research() && std::find(s.rows.begin(), s.rows.end(), "global") != s.rows.end())
    fail<ConfigError>("--ranks", "rows that learn from images one by one",
                      "research's Global, which is told the loss of a batch", "leave --ranks out, or row global");
  return s;
}

}  // namespace mixed_numbers
