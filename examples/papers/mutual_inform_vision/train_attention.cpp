#include "cpu_runner.hpp"

namespace vision {

template <>
nlohmann::json train_row<Attention>(const Settings& settings, const std::string& row, Index seed, const Images& images,
                                    const std::filesystem::path& checkpoint) {
  return train_on_cpu<Attention>(settings, row, seed, images, checkpoint);
}

}  // namespace vision
