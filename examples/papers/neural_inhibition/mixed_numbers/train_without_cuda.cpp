#include "training.hpp"

namespace mixed_numbers {

std::string describe_cuda(const Settings& settings) {
  fail<ConfigError>("--device", "cpu: this program was built without CUDA",
                    "cuda:" + std::to_string(*settings.cuda_device),
                    "install the CUDA Toolkit and build again with -DNEUROINHIB_CUDA=ON");
}

Accuracy train_row_on_cuda(const Settings& settings, const std::string&, Index, const data::ImageSet&,
                           const std::filesystem::path&, RunLog&) {
  describe_cuda(settings);
  return {};
}

}  // namespace mixed_numbers
