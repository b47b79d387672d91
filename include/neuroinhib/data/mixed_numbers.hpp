#pragma once

#include <algorithm>
#include <numeric>
#include <string>

#include <neuroinhib/data/image_set.hpp>
#include <neuroinhib/data/squares.hpp>

namespace neuroinhib::data {

/// The mixed-numbers set of the Neural Inhibition paper, section 4.1: half handwritten digits (kind 0), half squares
/// (kind 1), in no particular order; 120,000 images with MNIST's 60,000. Throws ConfigError where `digits` holds too
/// few images, images that are not grey and 28 × 28, or labels other than 0 to 9.
[[nodiscard]] inline ImageSet make_mixed_numbers(const ImageSet& digits, Squares kind, Index count,
                                                 std::uint64_t seed) {
  constexpr std::uint32_t kStream = 0x31f3du;
  constexpr Index kSize = 28;
  const Index half = count / 2;
  if (digits.height != kSize || digits.width != kSize || digits.channels != 1)
    fail<ConfigError>("mixed numbers", "grey digits of 28 × 28 pixels",
                      std::to_string(digits.height) + " × " + std::to_string(digits.width) + " with " +
                          std::to_string(digits.channels) + " channels",
                      "use MNIST-like images");
  if (half < 1 || digits.count() < half)
    fail<ConfigError>("mixed numbers", "2 to " + std::to_string(2 * digits.count()) + " samples, twice the digits",
                      std::to_string(count), "ask for fewer samples, or load more digits");
  const auto is_beyond = [](int label) { return label < 0 || label > 9; };
  if (const auto beyond = std::find_if(digits.labels.begin(), digits.labels.end(), is_beyond);
      beyond != digits.labels.end())
    fail<ConfigError>("mixed numbers", "labels from 0 to 9",
                      std::to_string(*beyond) + " at digit " + std::to_string(beyond - digits.labels.begin()),
                      "use images of the ten digits");
  std::vector<Index> chosen(static_cast<std::size_t>(digits.count()));
  std::iota(chosen.begin(), chosen.end(), Index{0});
  shuffle(chosen, seed, kStream);

  ImageSet mixed = make_squares(kind, half, seed);
  mixed.source = digits.source + " + squares";
  for (Index i = 0; i < half; ++i) {
    const auto image = digits.image(chosen[static_cast<std::size_t>(i)]);
    mixed.pixels.insert(mixed.pixels.end(), image.begin(), image.end());
    mixed.labels.push_back(digits.labels[static_cast<std::size_t>(chosen[static_cast<std::size_t>(i)])]);
    mixed.kinds.push_back(0);
  }
  return mixed;
}

}  // namespace neuroinhib::data
