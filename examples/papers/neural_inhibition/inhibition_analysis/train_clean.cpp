#include "../mixed_numbers/cpu_runner.hpp"
#include "neurons.hpp"

namespace inhibition_analysis {

template <>
nlohmann::json train_row<mixed_numbers::CleanRecipe>(const Settings& settings, const std::string& row, Index seed,
                                                     const data::ImageSet& set, const std::filesystem::path& checkpoint,
                                                     RunLog& log) {
  const auto make_runner = [&] { return mixed_numbers::CpuRunner<float>(settings, seed, set); };
  return train_with<mixed_numbers::CleanRecipe>(make_runner, settings, row, seed, set, checkpoint, log);
}

}  // namespace inhibition_analysis
