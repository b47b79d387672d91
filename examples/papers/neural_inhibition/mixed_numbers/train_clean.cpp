#include "cpu_runner.hpp"

namespace mixed_numbers {

template <>
Accuracy train_row<CleanRecipe>(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                                const std::filesystem::path& checkpoint, RunLog& log) {
  CpuRunner<float> runner(settings, seed, set);
  return with_network<CleanRecipe, float>(
      row, Sizes{}, [&](auto& network) { return train(runner, network, settings, seed, set, checkpoint, log); });
}

}  // namespace mixed_numbers
