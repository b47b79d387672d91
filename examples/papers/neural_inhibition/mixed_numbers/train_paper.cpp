#include "training.hpp"

namespace mixed_numbers {

template <>
Accuracy train_row<PaperRecipe>(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                                const std::filesystem::path& checkpoint, RunLog& log) {
  return with_network<PaperRecipe, float>(
      row, Sizes{}, [&](auto& network) { return train(network, settings, seed, set, checkpoint, log); });
}

}  // namespace mixed_numbers
