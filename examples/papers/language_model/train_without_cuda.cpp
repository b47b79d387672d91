#include "training.hpp"

namespace language_model {

std::string describe_cuda(const Settings& settings) {
  fail<ConfigError>("--device", "cpu: this program was built without CUDA",
                    "cuda:" + std::to_string(*settings.cuda_device),
                    "install the CUDA Toolkit and build again with -DNEUROINHIB_CUDA=ON");
}

nlohmann::json train_row_on_cuda(const Settings& settings, const Row&, Index, const Data&,
                                 const std::filesystem::path&) {
  describe_cuda(settings);
  return {};
}

}  // namespace language_model
