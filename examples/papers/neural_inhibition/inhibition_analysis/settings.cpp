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
  std::vector<std::string> rows;
  for (const Row& row : kRows) rows.emplace_back(row.name);
  add_training_options(options, s, rows);
  options.parse(arguments);
  settle(options, s, kQuickSeeds);
  return s;
}

}  // namespace inhibition_analysis
