#pragma once

#include <array>
#include <functional>
#include <string_view>

#include <neuroinhib/data/resize.hpp>

/// The corruptions of ImageNet-C (Hendrycks and Dietterich 2019), with their severities.
namespace vision {

namespace data = neuroinhib::data;
using neuroinhib::Index;

inline constexpr std::array<std::string_view, 15> kCorruptions{
    "gaussian_noise",    "shot_noise", "impulse_noise",   "defocus_blur", "glass_blur", "motion_blur",
    "zoom_blur",         "snow",       "frost",           "fog",          "brightness", "contrast",
    "elastic_transform", "pixelate",   "jpeg_compression"};
inline constexpr int kSeverities = 5;

/// Where a corruption's random numbers come from.
struct Draws {
  std::function<double()> uniform;  ///< in [0, 1)
  std::function<double()> normal;   ///< N(0, 1)
};

/// The picture under corruption number `corruption` of kCorruptions, severity 1 to 5, of its size and channels.
/// Lengths in pixels are `scale` times ImageNet-C's, which are for 224 pixels. Frost is ours: the original lays
/// photographs over the picture.
[[nodiscard]] data::Picture corrupted(const data::Picture& picture, std::size_t corruption, int severity,
                                      const Draws& draws, double scale);

/// The same of all images of a set, with lengths by their size; image i always gets the same numbers.
[[nodiscard]] data::ImageSet corrupted(const data::ImageSet& set, std::size_t corruption, int severity);

}  // namespace vision
