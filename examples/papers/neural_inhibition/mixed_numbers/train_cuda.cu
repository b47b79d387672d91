#include "cuda_runner.cuh"

namespace mixed_numbers {

Accuracy train_row_on_cuda(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                           const std::filesystem::path& checkpoint, RunLog& log) {
  CudaRunner runner(settings, seed, device_images(settings, set));
  const auto use = [&](auto& network) { return train(runner, network, settings, seed, set, checkpoint, log); };
  if (settings.recipe == "clean") return with_network<CleanRecipe, float>(row, Sizes{}, use);
  if (!settings.is_research() || row != "global") return with_network<PaperRecipe, float>(row, Sizes{}, use);
  ResearchGlobalNetwork<float> network(Sizes{});
  return use(network);
}

std::string describe_cuda(const Settings& settings) {
  return Cuda<float>(cuda_options(settings, 0)).describe();
}

}  // namespace mixed_numbers
