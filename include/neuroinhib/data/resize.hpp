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

/// What a pixel of a resized picture is made of.
enum class Resampling {
  triangle,  ///< bilinear where the picture grows, the mean under a triangle where it shrinks: Pillow's BILINEAR
  mean,      ///< the mean of the pixels whose middles it covers: Pillow's BOX
  nearest    ///< the pixel under its middle
};

namespace detail {

/// Weights of the source's elements for one element of a resized line. A triangle is as wide as two elements of the
/// coarser of both lines, a mean as wide as one.
struct ResizeWeights {
  Index first = 0;
  std::vector<double> weights;

  ResizeWeights(Resampling resampling, Index source, Index target, Index i) {
    const double ratio = static_cast<double>(source) / static_cast<double>(target);
    const double middle = (static_cast<double>(i) + 0.5) * ratio;
    if (resampling == Resampling::nearest) {
      first = std::min<Index>(source - 1, std::lround(std::floor(middle)));
      weights = {1};
      return;
    }
    const bool triangle = resampling == Resampling::triangle;
    const double unit = std::max(ratio, 1.0), reach = unit * (triangle ? 1 : 0.5);
    first = std::max<Index>(0, std::lround(std::floor(middle - reach + 0.5)));
    const Index last = std::min<Index>(source, std::lround(std::floor(middle + reach + 0.5)));
    double sum = 0;
    for (Index at = first; at < last; ++at) {
      const double distance = (static_cast<double>(at) - middle + 0.5) * (1 / unit);
      const bool covered = distance > -0.5 && distance <= 0.5;
      weights.push_back(triangle ? std::max(0.0, 1 - std::abs(distance)) : covered ? 1 : 0);
      sum += weights.back();
    }
    for (double& weight : weights) weight /= sum;
  }
};

/// Lines of `source` elements, `stride` numbers each, resized to `target` elements.
inline std::vector<std::uint8_t> resize_lines(Resampling resampling, const std::vector<std::uint8_t>& from, Index lines,
                                              Index source, Index target, Index stride) {
  std::vector<std::uint8_t> to(static_cast<std::size_t>(lines * target * stride));
  for (Index i = 0; i < target; ++i) {
    const ResizeWeights w(resampling, source, target, i);
    for (Index line = 0; line < lines; ++line)
      for (Index c = 0; c < stride; ++c) {
        const std::uint8_t* first = from.data() + (line * source + w.first) * stride + c;
        double sum = 0;
        for (std::size_t k = 0; k < w.weights.size(); ++k) sum += w.weights[k] * first[static_cast<Index>(k) * stride];
        to[static_cast<std::size_t>((line * target + i) * stride + c)] = static_cast<std::uint8_t>(std::lround(sum));
      }
  }
  return to;
}

}  // namespace detail

/// The picture at another size. Throws ConfigError for a size without pixels.
[[nodiscard]] inline Picture resized(const Picture& picture, Index height, Index width,
                                     Resampling resampling = Resampling::triangle) {
  if (height < 1 || width < 1 || picture.height < 1 || picture.width < 1)
    fail<ConfigError>("resizing", "pictures of at least one pixel",
                      std::to_string(picture.height) + " × " + std::to_string(picture.width) + " to " +
                          std::to_string(height) + " × " + std::to_string(width),
                      "give a size of at least 1 × 1");
  const auto narrow =
      detail::resize_lines(resampling, picture.pixels, picture.height, picture.width, width, picture.channels);
  return {height, width, picture.channels,
          detail::resize_lines(resampling, narrow, 1, picture.height, height, width * picture.channels)};
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
