#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include <neuroinhib/data/image_set.hpp>

namespace neuroinhib::data {

/// How the images of countable shapes are drawn.
enum class Squares {
  paper,           ///< 1 … 10 near-squares that may touch; label count − 1 (the research code's)
  clean,           ///< 0 … 9 near-squares, a pixel apart; the label is the count
  stoianov_zorzi,  ///< 1 … most rectangles, cumulative area 32 … 256 in 8 levels, a pixel apart; label count − 1
  research  ///< as paper's, with one area for each eighth of a number's images, and the number placed for a label: the
            ///< research code's own data, in order
};

namespace detail {

/// A 30 × 30 canvas whose outer ring stays empty.
class Canvas {
 public:
  static constexpr Index kSize = 30;

  /// Whether a rectangle, and `gap` pixels around it, is free.
  [[nodiscard]] bool free(Index row, Index column, Index height, Index width, Index gap) const {
    for (Index r = row - gap; r < row + height + gap; ++r)
      for (Index c = column - gap; c < column + width + gap; ++c)
        if (at(r, c) != 0) return false;
    return true;
  }
  void fill(Index row, Index column, Index height, Index width) {
    for (Index r = row; r < row + height; ++r)
      for (Index c = column; c < column + width; ++c) pixels_[static_cast<std::size_t>(r * kSize + c)] = 255;
  }
  [[nodiscard]] std::uint8_t at(Index row, Index column) const {
    return pixels_[static_cast<std::size_t>(row * kSize + column)];
  }

 private:
  std::array<std::uint8_t, kSize * kSize> pixels_{};
};

/// Tries to place one rectangle inside the ring.
inline bool place(Canvas& canvas, Index height, Index width, Index gap, SequentialRandom& random) {
  const Index inside = Canvas::kSize - 2;
  const Index row = random.integer(1, inside - height + 1), column = random.integer(1, inside - width + 1);
  if (!canvas.free(row, column, height, width, gap)) return false;
  canvas.fill(row, column, height, width);
  return true;
}

struct Drawing {
  Canvas canvas;
  Index shapes = 0;
};

/// The paper's areas, 24 … 216 pixels.
inline Index random_area(SequentialRandom& random) {
  return 24 + 24 * random.integer(0, 8);
}

/// At most `count` near-squares that share `area` pixels; each side √(rest / left to draw) with a little noise. Fewer
/// where the noise used up the area; none where so many tries found no place.
inline std::optional<Drawing> draw_squares(Index count, Index area, Index gap, int max_tries,
                                           SequentialRandom& random) {
  constexpr double kNoise = 0.15;
  Drawing drawing;
  Index rest = area;
  const auto side = [&](double mean) {
    return std::clamp<Index>(std::lround(mean + kNoise * random.normal()), 1, Canvas::kSize - 4);
  };
  for (int tries = 0; drawing.shapes < count && rest > 0; ++tries) {
    if (tries == max_tries) return std::nullopt;
    const double share =
        static_cast<double>(rest) / static_cast<double>(count - drawing.shapes) + kNoise * random.normal();
    const double mean = std::sqrt(std::max(1e-7, share));
    const Index height = side(mean), width = side(mean);
    if (!place(drawing.canvas, height, width, gap, random)) continue;
    rest -= height * width;
    ++drawing.shapes;
  }
  return drawing;
}

/// `count` rectangles of random proportions whose areas sum to `area`, give or take a sixteenth.
inline std::optional<Drawing> draw_rectangles(Index count, Index area, SequentialRandom& random) {
  Canvas canvas;
  Index rest = area;
  for (Index done = 0; done < count; ++done) {
    bool placed = false;
    for (int tries = 0; tries < 50 && !placed; ++tries) {
      const double share = static_cast<double>(rest) / static_cast<double>(count - done);
      const double proportion = std::exp(random.uniform(-0.7, 0.7));
      const Index height = std::clamp<Index>(std::lround(std::sqrt(share) * proportion), 1, 26);
      const Index width = std::clamp<Index>(std::lround(share / static_cast<double>(height)), 1, 26);
      if (rest - height * width < count - done - 1) continue;
      placed = place(canvas, height, width, 1, random);
      if (placed) rest -= height * width;
    }
    if (!placed) return std::nullopt;
  }
  if (16 * std::abs(rest) > area) return std::nullopt;
  return Drawing{canvas, count};
}

inline void put_image(ImageSet& set, Index i, const Drawing& drawing, int label) {
  const Index ring = (Canvas::kSize - set.width) / 2;
  for (Index r = 0; r < set.height; ++r)
    for (Index c = 0; c < set.width; ++c)
      set.image(i)[static_cast<std::size_t>(r * set.width + c)] = drawing.canvas.at(r + ring, c + ring);
  set.labels[static_cast<std::size_t>(i)] = label;
}

/// Draws images [first, last) of at most `shapes` squares with one area. False where a square found no place.
inline bool draw_group(ImageSet& set, Index first, Index last, Index shapes, SequentialRandom& random) {
  constexpr int kMaxTries = 3000;
  const Index area = random_area(random);
  for (Index i = first; i < last; ++i) {
    const auto drawing = draw_squares(shapes, area, 0, kMaxTries, random);
    if (!drawing) return false;
    put_image(set, i, *drawing, static_cast<int>(drawing->shapes - 1));
  }
  return true;
}

}  // namespace detail

/// `count` images of countable shapes, binary (0 or 255), by seed. Squares of the first two kinds, and rectangles with
/// most ≤ 10, are 28 × 28 (the ring cut off); Stoianov and Zorzi's own (most = 32) are 30 × 30. Kind 1.
/// Throws ConfigError unless 1 ≤ most ≤ 32.
[[nodiscard]] inline ImageSet make_squares(Squares kind, Index count, std::uint64_t seed, Index most = 10) {
  if (most < 1 || most > 32)
    fail<ConfigError>("squares", "1 to 32 shapes", std::to_string(most), "draw at most 32 shapes in an image");
  constexpr std::uint32_t kStream = 0x5a0a2e5u;
  const Index ring = kind == Squares::stoianov_zorzi && most > 10 ? 0 : 1, size = detail::Canvas::kSize - 2 * ring;
  ImageSet set{"generated squares",
               size,
               size,
               std::vector<std::uint8_t>(static_cast<std::size_t>(count * size * size)),
               std::vector<int>(static_cast<std::size_t>(count)),
               std::vector<std::uint8_t>(static_cast<std::size_t>(count), 1)};
  SequentialRandom random(seed, kStream + static_cast<std::uint32_t>(kind));
  if (kind == Squares::research) {
    constexpr Index kGroups = 8;  // of each number
    const Index groups = kGroups * most;
    for (Index g = 0; g < groups; ++g)
      while (!detail::draw_group(set, g * count / groups, (g + 1) * count / groups, g / kGroups + 1, random)) {
      }
    return set;
  }
  constexpr int kMaxTries = 400;
  for (Index i = 0; i < count;) {
    const Index shapes = kind == Squares::clean ? random.integer(0, most - 1) : random.integer(1, most);
    const std::optional<detail::Drawing> drawing =
        kind == Squares::stoianov_zorzi
            ? detail::draw_rectangles(shapes, 32 * random.integer(std::max<Index>(1, (shapes + 31) / 32), 8), random)
            : detail::draw_squares(shapes, detail::random_area(random), kind == Squares::clean ? 1 : 0, kMaxTries,
                                   random);
    if (!drawing || drawing->shapes < shapes) continue;
    detail::put_image(set, i++, *drawing, static_cast<int>(kind == Squares::clean ? shapes : shapes - 1));
  }
  return set;
}

}  // namespace neuroinhib::data
