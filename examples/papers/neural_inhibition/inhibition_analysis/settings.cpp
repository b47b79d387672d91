#include "settings.hpp"

#include "../mixed_numbers/training_options.hpp"
#include "experiment.hpp"
#include "rows.hpp"

namespace inhibition_analysis {

Settings read_settings(const std::vector<std::string>& arguments) {
  constexpr neuroinhib::Index kQuickSeeds = 2;
  Settings s;
  s.seeds = 5;
  s.out = "out/inhibition_analysis";
  papers::Options options("inhibition_analysis", kExperiment);
  add_training_options(options, s, kRows);
  parse(options, arguments, s, kQuickSeeds);
  return s;
}

}  // namespace inhibition_analysis
