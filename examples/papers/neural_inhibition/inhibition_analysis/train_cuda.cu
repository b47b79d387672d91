#include "../mixed_numbers/cuda_runner.cuh"
#include "neurons.hpp"

namespace inhibition_analysis {

nlohmann::json train_on_cuda(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                             const std::filesystem::path& checkpoint, RunLog& log) {
  const auto images = mixed_numbers::device_images(settings, set);
  const auto make_runner = [&] { return mixed_numbers::CudaRunner(settings, seed, images); };
  return with_recipe(settings.recipe, [&]<class Recipe>() {
    return train_with<Recipe>(make_runner, settings, row, seed, set, checkpoint, log);
  });
}

}  // namespace inhibition_analysis
