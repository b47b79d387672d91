#include "../without_cuda.hpp"
#include "training.hpp"

namespace vision {

std::string describe_cuda(const Settings& settings) {
  papers::refuse_cuda(settings);
}

nlohmann::json train_row_on_cuda(const Settings& settings, const std::string&, Index, const Images&,
                                 const std::filesystem::path&) {
  papers::refuse_cuda(settings);
}

}  // namespace vision
