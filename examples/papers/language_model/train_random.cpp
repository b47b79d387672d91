#include "cpu_runner.hpp"

namespace language_model {

template <>
nlohmann::json train_row<RandomInhibition>(const Settings& settings, const Row& row, Index seed, const Data& data,
                                           const std::filesystem::path& checkpoint) {
  return train_on_cpu<RandomInhibition>(settings, row, seed, data, checkpoint);
}

}  // namespace language_model
