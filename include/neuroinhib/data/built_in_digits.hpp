#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <neuroinhib/data/image_set.hpp>

namespace neuroinhib::data {
namespace detail {

struct Point {
  double x, y;
};
using Stroke = std::vector<Point>;

/// Corner points of each digit's strokes in the unit square, y downwards; curves run smoothly through them.
inline const std::array<std::vector<Stroke>, 10>& digit_strokes() {
  static const std::array<std::vector<Stroke>, 10> strokes{{
      {{{.5, .08}, {.24, .22}, {.18, .5}, {.26, .8}, {.5, .92}, {.75, .78}, {.82, .5}, {.74, .2}, {.5, .08}}},
      {{{.36, .24}, {.54, .08}, {.53, .36}, {.52, .64}, {.51, .92}}},
      {{{.22, .28}, {.34, .1}, {.6, .08}, {.76, .26}, {.66, .5}, {.42, .7}, {.2, .9}},
       {{.2, .9}, {.5, .87}, {.82, .9}}},
      {{{.24, .16}, {.48, .07}, {.72, .2}, {.64, .42}, {.42, .48}},
       {{.42, .48}, {.7, .54}, {.78, .74}, {.54, .92}, {.22, .84}}},
      {{{.6, .08}, {.4, .34}, {.18, .62}, {.5, .62}, {.84, .6}}, {{.64, .36}, {.63, .64}, {.61, .93}}},
      {{{.76, .1}, {.5, .1}, {.3, .12}, {.27, .28}, {.26, .44}},
       {{.26, .44}, {.52, .38}, {.76, .52}, {.74, .78}, {.5, .92}, {.22, .84}}},
      {{{.68, .1}, {.42, .26}, {.26, .54}, {.3, .82}, {.54, .92}, {.74, .76}, {.68, .56}, {.46, .52}, {.28, .66}}},
      {{{.2, .13}, {.5, .11}, {.8, .12}}, {{.8, .12}, {.64, .38}, {.5, .64}, {.42, .92}}},
      {{{.52, .48},
        {.3, .34},
        {.32, .14},
        {.54, .07},
        {.74, .18},
        {.68, .36},
        {.46, .52},
        {.27, .7},
        {.34, .88},
        {.56, .93},
        {.76, .82},
        {.72, .62},
        {.52, .48}}},
      {{{.74, .3}, {.56, .1}, {.32, .16}, {.26, .36}, {.42, .5}, {.66, .44}, {.74, .28}, {.72, .56}, {.64, .92}}},
  }};
  return strokes;
}

/// Catmull–Rom interpolation between the second and third of four points.
inline Point between(const Point& a, const Point& b, const Point& c, const Point& d, double t) {
  const auto curve = [t](double p0, double p1, double p2, double p3) {
    return 0.5 *
           (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t * t + (3 * p1 - p0 - 3 * p2 + p3) * t * t * t);
  };
  return {curve(a.x, b.x, c.x, d.x), curve(a.y, b.y, c.y, d.y)};
}

/// One writer's hand: slant, proportions, turn, pen and tremor of one image.
class Hand {
 public:
  explicit Hand(SequentialRandom& random)
      : random_(random),
        slant_(random.uniform(-0.35, 0.35)),
        turn_(random.uniform(-0.2, 0.2)),
        width_(random.uniform(13, 19)),
        height_(random.uniform(17, 21)),
        shift_x_(random.uniform(-1.5, 1.5)),
        shift_y_(random.uniform(-1.5, 1.5)),
        pen_(random.uniform(0.75, 1.75)),
        soft_(random.uniform(0.5, 0.9)) {}

  void draw(int digit, std::span<std::uint8_t> image, Index size) {
    std::vector<double> ink(image.size(), 0);
    for (Stroke stroke : digit_strokes()[static_cast<std::size_t>(digit)]) {
      for (Point& point : stroke) point = placed(point, size);
      trace(stroke, ink, size);
    }
    for (std::size_t i = 0; i < ink.size(); ++i)
      image[i] = static_cast<std::uint8_t>(std::lround(255 * std::min(1.0, ink[i])));
  }

 private:
  [[nodiscard]] Point placed(const Point& p, Index size) {
    const double x = (p.x - 0.5 + 0.035 * random_.normal()) * width_,
                 y = (p.y - 0.5 + 0.035 * random_.normal()) * height_;
    const double sheared = x - slant_ * y, middle = static_cast<double>(size - 1) / 2;
    return {middle + shift_x_ + sheared * std::cos(turn_) - y * std::sin(turn_),
            middle + shift_y_ + sheared * std::sin(turn_) + y * std::cos(turn_)};
  }

  void trace(const Stroke& s, std::vector<double>& ink, Index size) const {
    constexpr int kSteps = 12;
    for (std::size_t i = 0; i + 1 < s.size(); ++i)
      for (int step = 0; step <= kSteps; ++step)
        stamp(between(s[i > 0 ? i - 1 : 0], s[i], s[i + 1], s[std::min(i + 2, s.size() - 1)],
                      static_cast<double>(step) / kSteps),
              ink, size);
  }

  /// A round pen with a soft edge: full ink inside its radius, fading over `soft_` pixels.
  void stamp(const Point& at, std::vector<double>& ink, Index size) const {
    const Index reach = 4, column = std::lround(at.x), row = std::lround(at.y);
    for (Index r = std::max<Index>(0, row - reach); r <= std::min(size - 1, row + reach); ++r)
      for (Index c = std::max<Index>(0, column - reach); c <= std::min(size - 1, column + reach); ++c) {
        const double distance = std::hypot(static_cast<double>(c) - at.x, static_cast<double>(r) - at.y);
        double& pixel = ink[static_cast<std::size_t>(r * size + c)];
        pixel = std::max(pixel, 1 / (1 + std::exp((distance - pen_) / (0.35 * soft_))));
      }
  }

  SequentialRandom& random_;
  double slant_, turn_, width_, height_, shift_x_, shift_y_, pen_, soft_;
};

}  // namespace detail

/// What every output says of these images.
inline constexpr const char* kBuiltInDigits = "built-in handwritten-like digits (NOT MNIST)";

/// 28 × 28 digits written with random slant, proportions, turn, pen width, tremor and softness, for a machine without
/// data: not MNIST, and easier.
[[nodiscard]] inline ImageSet make_built_in_digits(Index count, std::uint64_t seed) {
  constexpr Index kSize = 28;
  constexpr std::uint32_t kStream = 0xd16175u;
  ImageSet set{kBuiltInDigits,
               kSize,
               kSize,
               std::vector<std::uint8_t>(static_cast<std::size_t>(count * kSize * kSize)),
               std::vector<int>(static_cast<std::size_t>(count)),
               std::vector<std::uint8_t>(static_cast<std::size_t>(count), 0)};
  SequentialRandom random(seed, kStream);
  for (Index i = 0; i < count; ++i) {
    const int digit = static_cast<int>(random.integer(0, 9));
    set.labels[static_cast<std::size_t>(i)] = digit;
    detail::Hand(random).draw(digit, set.image(i), kSize);
  }
  return set;
}

}  // namespace neuroinhib::data
