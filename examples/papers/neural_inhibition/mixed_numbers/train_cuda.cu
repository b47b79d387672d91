#include "cuda_runner.cuh"

namespace mixed_numbers {

nlohmann::json train_on_cuda(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                             const std::filesystem::path& checkpoint, RunLog& log) {
  CudaRunner runner(settings, seed, device_images(settings, set));
  return with_kind(settings.recipe, row, [&]<class Kind>() {
    return Kind::with(row, [&](auto& network) { return train(runner, network, settings, seed, set, checkpoint, log); });
  });
}

}  // namespace mixed_numbers
