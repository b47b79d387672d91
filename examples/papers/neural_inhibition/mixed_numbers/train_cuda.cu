#include "cuda_runner.cuh"

namespace mixed_numbers {

Accuracy train_row_on_cuda(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                           const std::filesystem::path& checkpoint, RunLog& log) {
  CudaRunner runner(settings, seed, device_images(settings, set));
  const auto use = [&](auto& network) { return train(runner, network, settings, seed, set, checkpoint, log); };
  return settings.recipe == "paper" ? with_network<PaperRecipe, float>(row, Sizes{}, use)
                                    : with_network<CleanRecipe, float>(row, Sizes{}, use);
}

std::string describe_cuda(const Settings& settings) {
  return Cuda<float>(cuda_options(settings, 0)).describe();
}

}  // namespace mixed_numbers
