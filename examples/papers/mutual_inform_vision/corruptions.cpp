#include "corruptions.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <string>
#include <vector>

#include <neuroinhib/data/image_files.hpp>

#include "raster.hpp"

namespace vision {
namespace {

constexpr double kDegree = std::numbers::pi / 180;

/// What a corruption works on.
struct Scene {
  Raster x;
  std::size_t level;  ///< severity − 1
  const Draws& draws;
  double scale;
  const data::Picture& picture;

  [[nodiscard]] double uniform(double low, double high) const { return low + (high - low) * draws.uniform(); }
  /// In [low, high).
  [[nodiscard]] Index integer(Index low, Index high) const {
    return low + static_cast<Index>(std::floor(draws.uniform() * static_cast<double>(high - low)));
  }
  /// Knuth's: products of uniform numbers until they fall below e^−mean.
  [[nodiscard]] double poisson(double mean) const {
    const double limit = std::exp(-mean);
    double product = draws.uniform();
    int count = 0;
    for (; product > limit; ++count) product *= draws.uniform();
    return count;
  }
};

using Five = std::array<double, kSeverities>;

// Noise.

void gaussian_noise(Scene& s) {
  constexpr Five kDeviation{.08, .12, .18, .26, .38};
  for (double& value : s.x.values) value += kDeviation[s.level] * s.draws.normal();
}

void shot_noise(Scene& s) {
  constexpr Five kPhotons{60, 25, 12, 5, 3};
  for (double& value : s.x.values) value = s.poisson(value * kPhotons[s.level]) / kPhotons[s.level];
}

void impulse_noise(Scene& s) {
  constexpr Five kShare{.03, .06, .09, .17, .27};
  std::vector<bool> flipped;
  for (std::size_t i = 0; i < s.x.values.size(); ++i) flipped.push_back(s.draws.uniform() <= kShare[s.level]);
  for (std::size_t i = 0; i < s.x.values.size(); ++i) {
    const bool salt = s.draws.uniform() <= .5;
    if (flipped[i]) s.x.values[i] = salt ? 1 : 0;
  }
}

// Blur.

/// Weights of a disc, (2 · reach + 1)²; below two pixels by the share of each pixel that it covers.
std::vector<double> disc(double radius, double alias, Index reach) {
  const Index side = 2 * reach + 1;
  const int samples = radius < 2 ? 9 : 1;
  Raster weights(side, side, 1);
  double sum = 0;
  for (Index y = 0; y < side; ++y)
    for (Index x = 0; x < side; ++x)
      for (int i = 0; i < samples * samples; ++i) {
        const double dy = static_cast<double>(y - reach) + (i / samples + .5) / samples - .5;
        const double dx = static_cast<double>(x - reach) + (i % samples + .5) / samples - .5;
        const double inside = dx * dx + dy * dy <= radius * radius ? 1 : 0;
        weights.at(y, x, 0) += inside;
        sum += inside;
      }
  for (double& weight : weights.values) weight /= sum;
  if (samples == 1)
    weights = gaussian_filtered(weights, {alias, alias}, Index{radius <= 8 ? 1 : 2}, Edge::mirror_within);
  return weights.values;
}

void defocus_blur(Scene& s) {
  constexpr Five kRadius{3, 4, 6, 8, 10}, kAlias{.1, .5, .5, .5, .5};
  const double radius = kRadius[s.level] * s.scale;
  const Index reach = s.scale < 1 ? static_cast<Index>(std::ceil(radius)) : std::max<Index>(8, std::lround(radius));
  const Index side = 2 * reach + 1;
  const std::vector<double> weights = disc(radius, kAlias[s.level], reach);
  const Raster from = s.x;
  for (Index y = 0; y < from.height; ++y)
    for (Index x = 0; x < from.width; ++x)
      for (Index c = 0; c < from.channels; ++c) {
        double sum = 0;
        for (Index i = 0; i < side * side; ++i)
          if (const double weight = weights[static_cast<std::size_t>(i)]; weight > 0)
            sum += weight * from.at(inside(y + i / side - reach, from.height, Edge::mirror_within),
                                    inside(x + i % side - reach, from.width, Edge::mirror_within), c);
        s.x.at(y, x, c) = sum;
      }
}

void glass_blur(Scene& s) {
  constexpr Five kDeviation{.7, .9, 1, 1.1, 1.5}, kReach{1, 2, 2, 3, 4};
  constexpr std::array<int, kSeverities> kTimes{2, 1, 3, 2, 2};
  const double sigma = kDeviation[s.level] * s.scale;
  const auto reach = std::max<Index>(1, std::lround(kReach[s.level] * s.scale));
  Raster x = gaussian_filtered(s.x, {sigma, sigma}, 4.0, Edge::nearest);
  for (double& value : x.values) value = std::floor(value * 255) / 255;
  // As the published code: a pixel takes another's colour, and the other keeps it.
  for (int i = 0; i < kTimes[s.level]; ++i)
    for (Index row = x.height - reach; row > reach; --row)
      for (Index column = x.width - reach; column > reach; --column) {
        const Index dx = s.integer(-reach, reach), dy = s.integer(-reach, reach);
        for (Index c = 0; c < x.channels; ++c) x.at(row, column, c) = x.at(row + dy, column + dx, c);
      }
  s.x = gaussian_filtered(x, {sigma, sigma}, 4.0, Edge::nearest);
}

/// A camera that moves along a line, slower and slower: one half of a Gaussian of width 2 · radius + 1.
Raster moved(const Raster& x, double radius, double sigma, double angle) {
  const auto steps = std::max<Index>(1, 2 * std::lround(radius) + 1);
  std::vector<double> weights;
  double sum = 0;
  for (Index i = 0; i < steps; ++i) {
    weights.push_back(std::exp(-static_cast<double>(i * i) / (2 * sigma * sigma)));
    sum += weights.back();
  }
  Raster result(x.height, x.width, x.channels);
  for (Index i = 0; i < steps; ++i) {
    const auto along = static_cast<double>(i);
    const Index dy = -std::lround(std::ceil(along * std::sin(angle) - .5));
    const Index dx = -std::lround(std::ceil(along * std::cos(angle) - .5));
    if (std::abs(dy) >= x.height || std::abs(dx) >= x.width) break;
    for (Index row = 0; row < x.height; ++row)
      for (Index column = 0; column < x.width; ++column)
        for (Index c = 0; c < x.channels; ++c)
          result.at(row, column, c) +=
              weights[static_cast<std::size_t>(i)] / sum *
              x.at(inside(row - dy, x.height, Edge::nearest), inside(column - dx, x.width, Edge::nearest), c);
  }
  return result;
}

void motion_blur(Scene& s) {
  constexpr Five kRadius{10, 15, 15, 15, 20}, kDeviation{3, 5, 8, 12, 15};
  const double angle = s.uniform(-45, 45) * kDegree;
  s.x = moved(s.x, kRadius[s.level] * s.scale, kDeviation[s.level] * s.scale, angle);
}

/// The picture's middle, `factor` times as large: as large as the picture, or a little larger.
Raster zoomed(const Raster& x, double factor) {
  const auto part = [&](Index side) { return std::lround(std::ceil(static_cast<double>(side) / factor)); };
  const Index height = part(x.height), width = part(x.width);
  const Index top = (x.height - height) / 2, left = (x.width - width) / 2;
  const auto large = [&](Index side) { return std::lrint(static_cast<double>(side) * factor); };
  Raster result(large(height), large(width), x.channels);
  const auto place = [](Index i, Index to, Index from) {
    return to > 1 ? static_cast<double>(i * (from - 1)) / static_cast<double>(to - 1) : 0.0;
  };
  for (Index row = 0; row < result.height; ++row)
    for (Index column = 0; column < result.width; ++column)
      for (Index c = 0; c < x.channels; ++c)
        result.at(row, column, c) = interpolated(x, static_cast<double>(top) + place(row, result.height, height),
                                                 static_cast<double>(left) + place(column, result.width, width), c);
  return result;
}

/// to += factor · layer, where both have pixels.
void add(Raster& to, const Raster& layer) {
  for (Index row = 0; row < std::min(to.height, layer.height); ++row)
    for (Index column = 0; column < std::min(to.width, layer.width); ++column)
      for (Index c = 0; c < to.channels; ++c)
        to.at(row, column, c) += layer.at(row, column, layer.channels == 1 ? 0 : c);
}

void zoom_blur(Scene& s) {
  constexpr Five kEnd{1.11, 1.16, 1.21, 1.26, 1.31}, kStep{.01, .01, .02, .02, .03};
  const auto steps = static_cast<Index>(std::ceil((kEnd[s.level] - 1) / kStep[s.level]));
  Raster sum = s.x;
  for (Index i = 0; i < steps; ++i) add(sum, zoomed(s.x, 1 + static_cast<double>(i) * kStep[s.level]));
  for (double& value : sum.values) value /= static_cast<double>(steps + 1);
  s.x = sum;
}

// Weather.

double luma(const Raster& x, Index row, Index column) {
  if (x.channels == 1) return x.at(row, column, 0);
  return .299 * x.at(row, column, 0) + .587 * x.at(row, column, 1) + .114 * x.at(row, column, 2);
}

void snow(Scene& s) {
  constexpr Five kMean{.1, .2, .55, .55, .55}, kZoom{3, 2, 4, 4.5, 2.5}, kLeast{.5, .5, .9, .85, .85};
  constexpr Five kRadius{10, 12, 12, 12, 12}, kDeviation{4, 4, 8, 8, 12}, kKeep{.8, .7, .7, .65, .55};
  Raster flakes(s.x.height, s.x.width, 1);
  for (double& value : flakes.values) value = kMean[s.level] + .3 * s.draws.normal();
  flakes = zoomed(flakes, std::max(1.0, kZoom[s.level] * s.scale));
  for (double& value : flakes.values) value = value < kLeast[s.level] ? 0 : std::clamp(value, 0.0, 1.0);
  const double angle = s.uniform(-135, -45) * kDegree;
  flakes = moved(flakes, kRadius[s.level] * s.scale, kDeviation[s.level] * s.scale, angle);
  for (double& value : flakes.values) value = std::rint(value * 255) / 255;
  const double keep = kKeep[s.level];
  for (Index row = 0; row < s.x.height; ++row)
    for (Index column = 0; column < s.x.width; ++column) {
      const double white = luma(s.x, row, column) * 1.5 + .5;
      for (Index c = 0; c < s.x.channels; ++c) {
        double& value = s.x.at(row, column, c);
        value = keep * value + (1 - keep) * std::max(value, white);
      }
    }
  const Raster layer = cropped(flakes, std::min(flakes.height, s.x.height), std::min(flakes.width, s.x.width));
  Raster turned = layer;
  std::reverse(turned.values.begin(), turned.values.end());
  add(s.x, layer);
  add(s.x, turned);
}

/// A random landscape in [0, 1], [side, side] with a power of two (diamond-square).
Raster plasma(const Scene& s, Index side, double decay) {
  Raster map(side, side, 1);
  double wibble = 100;
  const auto wrapped = [&](Index row, Index column) { return map.at((row + side) % side, (column + side) % side, 0); };
  const auto with_wibble = [&](double sum) { return sum / 4 + wibble * s.uniform(-wibble, wibble); };
  for (Index step = side; step >= 2; step /= 2, wibble /= decay) {
    const Index half = step / 2;
    const auto each = [&](Index first_row, Index first_column, const auto& sum) {
      for (Index row = first_row; row < side; row += step)
        for (Index column = first_column; column < side; column += step)
          map.at(row, column, 0) = with_wibble(sum(row, column));
    };
    each(half, half, [&](Index r, Index c) {
      return wrapped(r - half, c - half) + wrapped(r + half, c - half) + wrapped(r - half, c + half) +
             wrapped(r + half, c + half);
    });
    const auto around = [&](Index r, Index c) {
      return wrapped(r - half, c) + wrapped(r + half, c) + wrapped(r, c - half) + wrapped(r, c + half);
    };
    each(0, half, around);
    each(half, 0, around);
  }
  const auto [least, most] = std::minmax_element(map.values.begin(), map.values.end());
  const double low = *least, span = *most - *least;
  for (double& value : map.values) value = (value - low) / span;
  return map;
}
/// The same, as large as the picture.
Raster plasma_over(const Scene& s, double decay) {
  Index side = 1;
  while (side < std::max(s.x.height, s.x.width)) side *= 2;
  return cropped(plasma(s, side, decay), s.x.height, s.x.width);
}

/// Feathers of ice that grow from the edges, in place of the original's photographs.
void frost(Scene& s) {
  constexpr Five kKeep{1, .8, .7, .65, .6}, kIce{.4, .6, .7, .7, .75};
  const Raster landscape = plasma_over(s, 1.6);
  for (Index row = 0; row < s.x.height; ++row)
    for (Index column = 0; column < s.x.width; ++column) {
      const double ridge = 1 - std::abs(2 * landscape.at(row, column, 0) - 1);
      const auto edge = static_cast<double>(std::min({row, column, s.x.height - 1 - row, s.x.width - 1 - column}));
      const double ice = ridge * std::max(.35, 1 - 4 * edge / static_cast<double>(std::min(s.x.height, s.x.width)));
      for (Index c = 0; c < s.x.channels; ++c) {
        double& value = s.x.at(row, column, c);
        value = kKeep[s.level] * value + kIce[s.level] * ice;
      }
    }
}

void fog(Scene& s) {
  constexpr Five kThickness{1.5, 2, 2.5, 2.5, 3}, kDecay{2, 2, 1.7, 1.5, 1.4};
  const double most = *std::max_element(s.x.values.begin(), s.x.values.end()), thickness = kThickness[s.level];
  Raster layer = plasma_over(s, kDecay[s.level]);
  for (double& value : layer.values) value *= thickness;
  add(s.x, layer);
  for (double& value : s.x.values) value *= most / (most + thickness);
}

void brightness(Scene& s) {
  constexpr Five kMore{.1, .2, .3, .4, .5};
  // Hue and saturation stay: all channels grow as the largest does.
  for (std::size_t i = 0; i < s.x.values.size(); i += static_cast<std::size_t>(s.x.channels)) {
    const auto begin = s.x.values.begin() + static_cast<std::ptrdiff_t>(i), end = begin + s.x.channels;
    const double largest = *std::max_element(begin, end), target = std::min(1.0, largest + kMore[s.level]);
    for (auto value = begin; value != end; ++value) *value = largest > 0 ? *value * target / largest : target;
  }
}

// Digital.

void contrast(Scene& s) {
  constexpr Five kKept{.4, .3, .2, .1, .05};
  const auto pixels = static_cast<double>(s.x.height * s.x.width);
  std::vector<double> mean(static_cast<std::size_t>(s.x.channels));
  for (std::size_t i = 0; i < s.x.values.size(); ++i) mean[i % mean.size()] += s.x.values[i] / pixels;
  for (std::size_t i = 0; i < s.x.values.size(); ++i) {
    const double middle = mean[i % mean.size()];
    s.x.values[i] = (s.x.values[i] - middle) * kKept[s.level] + middle;
  }
}

void elastic_transform(Scene& s) {
  constexpr Five kStrength{12.5, 16.25, 21.25, 25, 30};
  const double most = static_cast<double>(s.x.height) * .005, strength = kStrength[s.level] * s.scale;
  const double sigma_y = static_cast<double>(s.x.height) * .01, sigma_x = static_cast<double>(s.x.width) * .01;
  const auto field = [&] {
    Raster shift(s.x.height, s.x.width, 1);
    for (double& value : shift.values) value = s.uniform(-most, most);
    return gaussian_filtered(shift, {sigma_y, sigma_x}, 3.0, Edge::mirror);
  };
  const Raster dx = field(), dy = field(), from = s.x;
  for (Index row = 0; row < from.height; ++row)
    for (Index column = 0; column < from.width; ++column)
      for (Index c = 0; c < from.channels; ++c)
        s.x.at(row, column, c) = interpolated(from, static_cast<double>(row) + strength * dy.at(row, column, 0),
                                              static_cast<double>(column) + strength * dx.at(row, column, 0), c);
}

void pixelate(Scene& s) {
  constexpr Five kShare{.6, .5, .4, .3, .25};
  const auto part = [&](Index side) {
    return std::max<Index>(1, static_cast<Index>(static_cast<double>(side) * kShare[s.level]));
  };
  const data::Picture small = data::resized(s.picture, part(s.x.height), part(s.x.width), data::Resampling::mean);
  s.x = Raster(data::resized(small, s.x.height, s.x.width, data::Resampling::nearest));
}

void jpeg_compression(Scene& s) {
  constexpr std::array<int, kSeverities> kQuality{25, 18, 15, 10, 7};
  s.x = Raster(data::with_channels(
      data::decode_picture(data::encode_jpeg(s.picture, kQuality[s.level]), "JPEG in memory"), s.x.channels));
}

constexpr std::array<void (*)(Scene&), kCorruptions.size()> kFunctions{
    gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur,        motion_blur, zoom_blur,       snow,
    frost,          fog,        brightness,    contrast,     elastic_transform, pixelate,    jpeg_compression};

}  // namespace

data::Picture corrupted(const data::Picture& picture, std::size_t corruption, int severity, const Draws& draws,
                        double scale) {
  Scene scene{Raster(picture), static_cast<std::size_t>(severity - 1), draws, scale, picture};
  kFunctions.at(corruption)(scene);
  return scene.x.picture();
}

data::ImageSet corrupted(const data::ImageSet& set, std::size_t corruption, int severity) {
  constexpr std::uint64_t kSeed = 5;
  constexpr double kSide = 224;
  const double scale = static_cast<double>(std::min(set.height, set.width)) / kSide;
  return changed(set, [&](const data::Picture& picture, Index i) {
    neuroinhib::SequentialRandom random(
        kSeed + static_cast<std::uint64_t>(i),
        static_cast<std::uint32_t>(corruption) * kSeverities + static_cast<std::uint32_t>(severity));
    return corrupted(picture, corruption, severity,
                     {[&] { return random.uniform(0, 1); }, [&] { return random.normal(); }}, scale);
  });
}

}  // namespace vision
