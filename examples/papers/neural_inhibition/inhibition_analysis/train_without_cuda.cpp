#include "../../without_cuda.hpp"
#include "neurons.hpp"

namespace inhibition_analysis {

std::string describe_cuda(const Settings& settings) {
  papers::refuse_cuda(settings);
}

nlohmann::json train_row_on_cuda(const Settings& settings, const std::string&, Index, const data::ImageSet&,
                                 const std::filesystem::path&, RunLog&) {
  papers::refuse_cuda(settings);
}

}  // namespace inhibition_analysis
