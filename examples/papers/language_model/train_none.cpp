#include "cpu_runner.hpp"

namespace language_model {

template <>
nlohmann::json train_row<NoInhibition>(const Settings& settings, const Row& row, Index seed, const Data& data,
                                       const std::filesystem::path& checkpoint) {
  return train_on_cpu<NoInhibition>(settings, row, seed, data, checkpoint);
}

}  // namespace language_model
