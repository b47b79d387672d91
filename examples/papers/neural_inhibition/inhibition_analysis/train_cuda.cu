#include "../mixed_numbers/cuda_runner.cuh"
#include "neurons.hpp"

namespace inhibition_analysis {

nlohmann::json train_row_on_cuda(const Settings& settings, const std::string& row, Index seed,
                                 const data::ImageSet& set, const std::filesystem::path& checkpoint, RunLog& log) {
  const auto& images = mixed_numbers::device_images(settings, set);
  const auto make_runner = [&] { return mixed_numbers::CudaRunner(settings, seed, images); };
  const auto train = settings.recipe == "paper" ? train_with<mixed_numbers::PaperRecipe, decltype(make_runner)>
                                                : train_with<mixed_numbers::CleanRecipe, decltype(make_runner)>;
  return train(make_runner, settings, row, seed, set, checkpoint, log);
}

std::string describe_cuda(const Settings& settings) {
  return Cuda<float>(mixed_numbers::cuda_options(settings, 0)).describe();
}

}  // namespace inhibition_analysis
