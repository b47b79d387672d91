#include "cpu_runner.hpp"

namespace vision {

template <>
nlohmann::json train_row<Similarity>(const Settings& settings, const std::string& row, Index seed, const Images& images,
                                     const std::filesystem::path& checkpoint) {
  return train_on_cpu<Similarity>(settings, row, seed, images, checkpoint);
}

}  // namespace vision
