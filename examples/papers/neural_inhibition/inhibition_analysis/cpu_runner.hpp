#pragma once

#include "../mixed_numbers/cpu_runner.hpp"
#include "neurons.hpp"

namespace inhibition_analysis {

template <class Recipe>
nlohmann::json CpuTraining<Recipe>::train(const Settings& settings, const std::string& row, Index seed,
                                          const data::ImageSet& set, const std::filesystem::path& checkpoint,
                                          RunLog& log) {
  const auto make_runner = [&] { return mixed_numbers::CpuRunner(settings, seed, set); };
  return train_with<Recipe>(make_runner, settings, row, seed, set, checkpoint, log);
}

}  // namespace inhibition_analysis
