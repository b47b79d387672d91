#include "../../without_cuda.hpp"
#include "training.hpp"

namespace mixed_numbers {

std::string describe_cuda(const Settings& settings) {
  papers::refuse_cuda(settings);
}

Accuracy train_row_on_cuda(const Settings& settings, const std::string&, Index, const data::ImageSet&,
                           const std::filesystem::path&, RunLog&) {
  papers::refuse_cuda(settings);
}

}  // namespace mixed_numbers
