#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/core/random.hpp>

namespace neuroinhib::data {

/// Images of `height` × `width` pixels with labels, channels last; a kind tells the types of a mixed set apart and is
/// never shown to a model.
struct ImageSet {
  std::string source;  ///< where the images come from, for people to read
  Index height = 0, width = 0;
  std::vector<std::uint8_t> pixels;    ///< [count, height, width, channels], 0 … 255
  std::vector<int> labels;             ///< [count]
  std::vector<std::uint8_t> kinds;     ///< [count]
  Index channels = 1;                  ///< 1: grey, 3: red, green and blue
  std::vector<std::string> classes{};  ///< names of the labels 0, 1, …; none where numbers say it all

  /// How many images there are.
  [[nodiscard]] Index count() const { return static_cast<Index>(labels.size()); }
  /// Numbers of an image: its pixels times their channels.
  [[nodiscard]] Index image_size() const { return height * width * channels; }
  /// The pixels of image i.
  [[nodiscard]] std::span<const std::uint8_t> image(Index i) const {
    return {pixels.data() + i * image_size(), static_cast<std::size_t>(image_size())};
  }
  [[nodiscard]] std::span<std::uint8_t> image(Index i) {
    return {pixels.data() + i * image_size(), static_cast<std::size_t>(image_size())};
  }
};

/// Fisher–Yates: the same order for the same seed and stream, everywhere.
inline void shuffle(std::span<Index> order, std::uint64_t seed, std::uint32_t stream) {
  SequentialRandom random(seed, stream);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(random.integer(0, static_cast<Index>(i) - 1))]);
}

/// Numbers of the images that train, validate and test.
struct Split {
  std::vector<Index> training, validation, test;  ///< in random order
};

/// A random 80 / 10 / 10 split by seed.
[[nodiscard]] inline Split split(Index count, std::uint64_t seed) {
  constexpr std::uint32_t kStream = 0x5b117u;
  std::vector<Index> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), Index{0});
  shuffle(order, seed, kStream);
  const auto first = order.begin() + count * 8 / 10, second = order.begin() + count * 9 / 10;
  return {{order.begin(), first}, {first, second}, {second, order.end()}};
}

/// Pixel values as a network sees them: (p / 255 − mean) / deviation over the whole set.
class Scaling {
 public:
  /// Of that set. Throws FormatError for a set of equal pixels.
  explicit Scaling(const ImageSet& set) {
    std::array<double, 256> histogram{};
    for (const std::uint8_t pixel : set.pixels) ++histogram[pixel];
    const auto n = static_cast<double>(set.pixels.size());
    double sum = 0, squares = 0;
    for (std::size_t p = 0; p < 256; ++p) sum += histogram[p] * static_cast<double>(p) / 255;
    mean_ = sum / n;
    for (std::size_t p = 0; p < 256; ++p) squares += histogram[p] * std::pow(static_cast<double>(p) / 255 - mean_, 2);
    deviation_ = std::sqrt(squares / n);
    if (!(deviation_ > 0))
      fail<FormatError>("image set " + set.source, "images that differ somewhere",
                        "the value " + std::to_string(set.pixels.empty() ? 0 : set.pixels.front()) + " in all " +
                            std::to_string(set.pixels.size()) + " pixels",
                        "load a set of several different images");
  }
  /// A pixel's scaled value.
  [[nodiscard]] double operator()(std::uint8_t pixel) const { return (pixel / 255.0 - mean_) / deviation_; }

 private:
  double mean_ = 0, deviation_ = 1;
};

/// Images and labels in step memory.
template <class T>
struct Batch {
  Tensor<T> images;  ///< [count, height, width, channels]
  View<int> labels;  ///< [count]
};

/// Gathers the images of the given numbers into the executor's step memory.
template <Executor Ex>
[[nodiscard]] Batch<ScalarOf<Ex>> gather(Ex& ex, const ImageSet& set, const Scaling& scaling,
                                         std::span<const Index> numbers) {
  using T = ScalarOf<Ex>;
  const Index count = static_cast<Index>(numbers.size()), size = set.image_size();
  std::array<T, 256> scaled;
  for (std::size_t p = 0; p < 256; ++p) scaled[p] = static_cast<T>(scaling(static_cast<std::uint8_t>(p)));
  Batch<T> batch{ex.backend().tensor({count, set.height, set.width, set.channels}, false), ex.integers({count})};
  ex.backend().parallel_for(count, size, [&](Index b) {
    const Index number = numbers[static_cast<std::size_t>(b)];
    const auto image = set.image(number);
    for (Index i = 0; i < size; ++i) batch.images[b * size + i] = scaled[image[static_cast<std::size_t>(i)]];
    batch.labels[b] = set.labels[static_cast<std::size_t>(number)];
  });
  return batch;
}

}  // namespace neuroinhib::data
