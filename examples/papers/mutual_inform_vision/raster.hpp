#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <neuroinhib/data/resize.hpp>

/// Pictures of real numbers, and what filters need.
namespace vision {

namespace data = neuroinhib::data;
using neuroinhib::Index;

/// A picture of real numbers, 0 black and 1 full.
struct Raster {
  Index height = 0, width = 0, channels = 0;
  std::vector<double> values;  ///< [height, width, channels]

  Raster(Index rows, Index columns, Index channel_count)
      : height(rows),
        width(columns),
        channels(channel_count),
        values(static_cast<std::size_t>(rows * columns * channel_count)) {}
  explicit Raster(const data::Picture& picture) : Raster(picture.height, picture.width, picture.channels) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = picture.pixels[i] / 255.0;
  }

  [[nodiscard]] double& at(Index row, Index column, Index c) {
    return values[static_cast<std::size_t>((row * width + column) * channels + c)];
  }
  [[nodiscard]] double at(Index row, Index column, Index c) const {
    return values[static_cast<std::size_t>((row * width + column) * channels + c)];
  }
  /// In 8 bits, rounded down, as the published images are; a little above absorbs the rounding of p / 255 · 255.
  [[nodiscard]] data::Picture picture() const {
    data::Picture result{height, width, channels, {}};
    for (const double value : values)
      result.pixels.push_back(static_cast<std::uint8_t>(255 * std::clamp(value, 0.0, 1.0) + 1e-9));
    return result;
  }
};

/// What lies beyond the last element of abcd.
enum class Edge {
  nearest,        ///< abcd|ddd
  mirror,         ///< abcd|dcb
  mirror_within,  ///< abcd|cba
};

/// The element of a line of `size` that stands for number i, which may lie beyond either end.
[[nodiscard]] inline Index inside(Index i, Index size, Edge edge) {
  if (edge == Edge::nearest || size == 1) return std::clamp<Index>(i, 0, size - 1);
  const Index period = edge == Edge::mirror ? 2 * size : 2 * size - 2;
  i = (i % period + period) % period;
  return i < size ? i : period - i - (edge == Edge::mirror ? 1 : 0);
}

/// Gaussian blur with `sigma` rows and columns wide, cut off so many pixels from the middle.
[[nodiscard]] inline Raster gaussian_filtered(const Raster& x, std::array<double, 2> sigma, std::array<Index, 2> reach,
                                              Edge edge) {
  const auto along = [&](const Raster& from, bool rows) {
    const double deviation = sigma[rows ? 0 : 1];
    const Index r = reach[rows ? 0 : 1];
    std::vector<double> weights;
    double sum = 0;
    for (Index i = -r; i <= r; ++i) {
      weights.push_back(std::exp(-static_cast<double>(i * i) / (2 * deviation * deviation)));
      sum += weights.back();
    }
    Raster to(from.height, from.width, from.channels);
    for (Index row = 0; row < from.height; ++row)
      for (Index column = 0; column < from.width; ++column)
        for (Index i = -r; i <= r; ++i) {
          const Index source_row = rows ? inside(row + i, from.height, edge) : row;
          const Index source_column = rows ? column : inside(column + i, from.width, edge);
          for (Index c = 0; c < from.channels; ++c)
            to.at(row, column, c) +=
                weights[static_cast<std::size_t>(i + r)] / sum * from.at(source_row, source_column, c);
        }
    return to;
  };
  return along(along(x, true), false);
}
[[nodiscard]] inline Raster gaussian_filtered(const Raster& x, std::array<double, 2> sigma, Index reach, Edge edge) {
  return gaussian_filtered(x, sigma, std::array<Index, 2>{reach, reach}, edge);
}
/// Cut off so many deviations from the middle.
[[nodiscard]] inline Raster gaussian_filtered(const Raster& x, std::array<double, 2> sigma, double deviations,
                                              Edge edge) {
  const auto reach = [&](double s) { return std::lround(std::floor(deviations * s + .5)); };
  return gaussian_filtered(x, sigma, std::array<Index, 2>{reach(sigma[0]), reach(sigma[1])}, edge);
}

/// Bilinear between pixels; beyond the edges as mirrored.
[[nodiscard]] inline double interpolated(const Raster& x, double row, double column, Index c) {
  const auto y = static_cast<Index>(std::floor(row)), z = static_cast<Index>(std::floor(column));
  const double b = row - static_cast<double>(y), r = column - static_cast<double>(z);
  const auto pixel = [&](Index i, Index j) {
    return x.at(inside(i, x.height, Edge::mirror), inside(j, x.width, Edge::mirror), c);
  };
  return (1 - b) * ((1 - r) * pixel(y, z) + r * pixel(y, z + 1)) +
         b * ((1 - r) * pixel(y + 1, z) + r * pixel(y + 1, z + 1));
}

/// The upper left part.
[[nodiscard]] inline Raster cropped(const Raster& x, Index height, Index width) {
  Raster part(height, width, x.channels);
  for (Index row = 0; row < height; ++row)
    std::copy_n(x.values.begin() + row * x.width * x.channels, width * x.channels,
                part.values.begin() + row * width * x.channels);
  return part;
}

/// A set of what change(picture, number) makes of each image.
template <class Change>
[[nodiscard]] data::ImageSet changed(const data::ImageSet& set, const Change& change) {
  data::ImageSet result = set;
  for (Index i = 0; i < set.count(); ++i) {
    const auto image = set.image(i);
    const data::Picture other = change({set.height, set.width, set.channels, {image.begin(), image.end()}}, i);
    std::copy(other.pixels.begin(), other.pixels.end(), result.image(i).begin());
  }
  return result;
}

}  // namespace vision
