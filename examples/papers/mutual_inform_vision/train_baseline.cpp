#include "cpu_runner.hpp"

namespace vision {

template <>
nlohmann::json train_row<Baseline>(const Settings& settings, const std::string& row, Index seed, const Images& images,
                                   const std::filesystem::path& checkpoint) {
  return train_on_cpu<Baseline>(settings, row, seed, images, checkpoint);
}

}  // namespace vision
