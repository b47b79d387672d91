#include "../without_cuda.hpp"
#include "training.hpp"

namespace language_model {

std::string describe_cuda(const Settings& settings) {
  papers::refuse_cuda(settings);
}

nlohmann::json train_row_on_cuda(const Settings& settings, const Row&, Index, const Data&,
                                 const std::filesystem::path&) {
  papers::refuse_cuda(settings);
}

}  // namespace language_model
