#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/data/image_set.hpp>

namespace neuroinhib::data {

/// One picture, channels last.
struct Picture {
  Index height = 0, width = 0;       ///< in pixels
  Index channels = 0;                ///< 1: grey, 3: red, green and blue
  std::vector<std::uint8_t> pixels;  ///< [height, width, channels]
};

namespace detail {

/// Weights of the source's elements for one element of a resized line: a triangle as wide as two elements of the
/// coarser of both lines.
struct ResizeWeights {
  Index first = 0;
  std::vector<double> weights;

  ResizeWeights(Index source, Index target, Index i) {
    const double ratio = static_cast<double>(source) / static_cast<double>(target), reach = std::max(ratio, 1.0);
    const double middle = (static_cast<double>(i) + 0.5) * ratio;
    first = std::max<Index>(0, std::lround(std::floor(middle - reach + 0.5)));
    const Index last = std::min<Index>(source, std::lround(std::floor(middle + reach + 0.5)));
    double sum = 0;
    for (Index at = first; at < last; ++at) {
      const double distance = std::abs(static_cast<double>(at) + 0.5 - middle) / reach;
      weights.push_back(std::max(0.0, 1 - distance));
      sum += weights.back();
    }
    for (double& weight : weights) weight /= sum;
  }
};

/// Lines of `source` elements, `stride` apart, resized to `target`; for each of lines × stride numbers.
inline std::vector<double> resize_lines(const std::vector<double>& from, Index lines, Index source, Index target,
                                        Index stride) {
  std::vector<double> to(static_cast<std::size_t>(lines * target * stride), 0);
  for (Index i = 0; i < target; ++i) {
    const ResizeWeights w(source, target, i);
    for (Index line = 0; line < lines; ++line)
      for (std::size_t k = 0; k < w.weights.size(); ++k)
        for (Index c = 0; c < stride; ++c)
          to[static_cast<std::size_t>((line * target + i) * stride + c)] +=
              w.weights[k] *
              from[static_cast<std::size_t>((line * source + w.first + static_cast<Index>(k)) * stride + c)];
  }
  return to;
}

}  // namespace detail

/// The picture at another size: bilinear where it grows, the mean under a triangle where it shrinks, as Pillow's
/// BILINEAR. Throws ConfigError for a size without pixels.
[[nodiscard]] inline Picture resized(const Picture& picture, Index height, Index width) {
  if (height < 1 || width < 1 || picture.height < 1 || picture.width < 1)
    fail<ConfigError>("resizing", "pictures of at least one pixel",
                      std::to_string(picture.height) + " × " + std::to_string(picture.width) + " to " +
                          std::to_string(height) + " × " + std::to_string(width),
                      "give a size of at least 1 × 1");
  const std::vector<double> wide(picture.pixels.begin(), picture.pixels.end());
  const auto narrow = detail::resize_lines(wide, picture.height, picture.width, width, picture.channels);
  const auto all = detail::resize_lines(narrow, 1, picture.height, height, width * picture.channels);
  Picture result{height, width, picture.channels, {}};
  for (const double value : all)
    result.pixels.push_back(static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0, 255.0))));
  return result;
}

/// The square in the picture's middle, as wide as its shorter side.
[[nodiscard]] inline Picture central_square(const Picture& picture) {
  const Index side = std::min(picture.height, picture.width);
  const Index top = (picture.height - side) / 2, left = (picture.width - side) / 2;
  Picture result{side, side, picture.channels, {}};
  for (Index row = 0; row < side; ++row) {
    const auto begin = picture.pixels.begin() + ((top + row) * picture.width + left) * picture.channels;
    result.pixels.insert(result.pixels.end(), begin, begin + side * picture.channels);
  }
  return result;
}

/// The picture in so many channels: grey repeated as colour, colour as its luma (ITU-R 601), 1 or 3.
[[nodiscard]] inline Picture with_channels(const Picture& picture, Index channels) {
  if (picture.channels == channels) return picture;
  if (std::min(picture.channels, channels) != 1 || std::max(picture.channels, channels) != 3)
    fail<ConfigError>("pictures", "1 channel or 3",
                      std::to_string(picture.channels) + " to " + std::to_string(channels),
                      "1 is grey, 3 are red, green and blue");
  Picture result{picture.height, picture.width, channels, {}};
  for (Index pixel = 0; pixel < picture.height * picture.width; ++pixel) {
    const std::uint8_t* from = picture.pixels.data() + pixel * picture.channels;
    if (channels == 3)
      result.pixels.insert(result.pixels.end(), 3, *from);
    else
      result.pixels.push_back(
          static_cast<std::uint8_t>(std::lround(0.299 * from[0] + 0.587 * from[1] + 0.114 * from[2])));
  }
  return result;
}

/// A set's images at another size and in other channels.
[[nodiscard]] inline ImageSet fitted(const ImageSet& set, Index height, Index width, Index channels) {
  ImageSet result = set;
  result.height = height, result.width = width, result.channels = channels;
  result.pixels.clear();
  for (Index i = 0; i < set.count(); ++i) {
    const auto image = set.image(i);
    const Picture fit = with_channels(
        resized({set.height, set.width, set.channels, {image.begin(), image.end()}}, height, width), channels);
    result.pixels.insert(result.pixels.end(), fit.pixels.begin(), fit.pixels.end());
  }
  return result;
}

}  // namespace neuroinhib::data
