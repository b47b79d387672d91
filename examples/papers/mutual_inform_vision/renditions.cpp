#include "renditions.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "raster.hpp"

namespace vision {
namespace {

/// Differences of neighbouring rows, or columns, under Sobel's weights.
double slope(const Raster& x, Index row, Index column, Index c, bool down) {
  const auto pixel = [&](Index i, Index j) {
    return x.at(inside(row + i, x.height, Edge::nearest), inside(column + j, x.width, Edge::nearest), c);
  };
  double sum = 0;
  for (const Index i : {-1, 0, 1})
    for (const Index j : {-1, 1}) sum += static_cast<double>(j) * (i == 0 ? 2 : 1) * (down ? pixel(j, i) : pixel(i, j));
  return sum;
}

/// f(x, row, column, channel) of each number.
template <class F>
Raster each(const Raster& x, const F& f) {
  Raster result = x;
  for (Index row = 0; row < x.height; ++row)
    for (Index column = 0; column < x.width; ++column)
      for (Index c = 0; c < x.channels; ++c) result.at(row, column, c) = f(x, row, column, c);
  return result;
}

Raster outline(const Raster& x) {
  return each(x, [](const Raster& from, Index row, Index column, Index c) {
    return std::hypot(slope(from, row, column, c, false), slope(from, row, column, c, true)) / 4;
  });
}

Raster negative(const Raster& x) {
  return each(x, [](const Raster& from, Index row, Index column, Index c) { return 1 - from.at(row, column, c); });
}

/// Black and white by Bayer's matrix of 4 × 4 thresholds.
Raster halftone(const Raster& x) {
  constexpr std::array<int, 16> kOrder{0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5};
  return each(x, [&](const Raster& from, Index row, Index column, Index c) {
    const int order = kOrder[static_cast<std::size_t>(row % 4 * 4 + column % 4)];
    return from.at(row, column, c) > (order + .5) / 16 ? 1.0 : 0.0;
  });
}

/// Four levels.
Raster posterised(const Raster& x) {
  return each(x, [](const Raster& from, Index row, Index column, Index c) {
    return std::round(3 * from.at(row, column, c)) / 3;
  });
}

/// Light from the upper left on a relief.
Raster embossed(const Raster& x) {
  return each(x, [](const Raster& from, Index row, Index column, Index c) {
    return .5 + (slope(from, row, column, c, false) + slope(from, row, column, c, true)) / 4;
  });
}

Raster turned(const Raster& x) {
  const double angle = 25 * std::numbers::pi / 180, cosine = std::cos(angle), sine = std::sin(angle);
  const double middle_row = static_cast<double>(x.height - 1) / 2, middle_column = static_cast<double>(x.width - 1) / 2;
  return each(x, [&](const Raster& from, Index row, Index column, Index c) {
    const double dy = static_cast<double>(row) - middle_row, dx = static_cast<double>(column) - middle_column;
    const double y = std::clamp(middle_row + cosine * dy + sine * dx, 0.0, 2 * middle_row);
    const double z = std::clamp(middle_column + cosine * dx - sine * dy, 0.0, 2 * middle_column);
    return interpolated(from, y, z, c);
  });
}

constexpr std::array<Raster (*)(const Raster&), kRenditions.size()> kFunctions{outline,    negative, halftone,
                                                                               posterised, embossed, turned};

}  // namespace

data::ImageSet rendered(const data::ImageSet& set, std::size_t rendition) {
  return changed(
      set, [&](const data::Picture& picture, Index) { return kFunctions.at(rendition)(Raster(picture)).picture(); });
}

}  // namespace vision
