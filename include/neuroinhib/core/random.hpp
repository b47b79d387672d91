#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

/// Four random words, or a counter of four words.
struct RandomWords {
  std::uint32_t words[4];  // NOLINT(modernize-avoid-c-arrays): std::array has no device functions

  /// Word i < 4.
  NEUROINHIB_DEVICE constexpr std::uint32_t operator[](Index i) const { return words[i]; }
  [[nodiscard]] constexpr bool operator==(const RandomWords&) const = default;
};

/// The key of a round of Philox: next() goes on to the next round's, mix() is the round.
class PhiloxKey {
 public:
  /// Of the first round.
  NEUROINHIB_DEVICE constexpr explicit PhiloxKey(std::uint64_t key)
      : first_(static_cast<std::uint32_t>(key)), second_(static_cast<std::uint32_t>(key >> 32)) {}

  NEUROINHIB_DEVICE constexpr void next() {
    first_ += 0x9E3779B9u;
    second_ += 0xBB67AE85u;
  }
  NEUROINHIB_DEVICE [[nodiscard]] constexpr RandomWords mix(const RandomWords& counter) const {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    return {{static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ first_, static_cast<std::uint32_t>(p1),
             static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ second_, static_cast<std::uint32_t>(p0)}};
  }

 private:
  std::uint32_t first_, second_;
};

inline constexpr int kPhiloxRounds = 10;  ///< rounds of Philox, as in "Philox4x32-10"

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): four random words for a
/// 128-bit counter under a 64-bit key. No state: the same stream on every backend and at any thread count.
NEUROINHIB_DEVICE inline RandomWords philox(RandomWords counter, std::uint64_t seed) {
  PhiloxKey key(seed);
  for (int round = 0; round < kPhiloxRounds; ++round, key.next()) counter = key.mix(counter);
  return counter;
}

/// Uniform in [0, 1) with 24 bits; exact in float and double.
template <class T>
NEUROINHIB_DEVICE T unit_uniform(std::uint32_t word) {
  return static_cast<T>(word >> 8) * static_cast<T>(1.0 / 16777216.0);
}

/// One stream of random numbers: element i is a function of (seed, step, stream, first + i) alone. A step is one
/// training step; `stream` numbers the streams of a step.
struct RandomStream {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  std::uint32_t stream = 0;
  Index first = 0;  ///< number that element 0 of a part of a larger tensor has in the whole

  /// Block i < 2^48 of a step < 2^48: the last word of the counter holds the upper 16 bits of both.
  NEUROINHIB_DEVICE [[nodiscard]] RandomWords counter(Index i) const {
    const auto upper = static_cast<std::uint32_t>(step >> 32) | static_cast<std::uint32_t>(i >> 32) << 16;
    return {{static_cast<std::uint32_t>(i), stream, static_cast<std::uint32_t>(step), upper}};
  }
  /// Four words at once: words 4i … 4i + 3.
  NEUROINHIB_DEVICE [[nodiscard]] RandomWords block(Index i) const { return philox(counter(i), seed); }
  /// Word i, uniform in 32 bits.
  NEUROINHIB_DEVICE [[nodiscard]] std::uint32_t word(Index i) const { return block((first + i) / 4)[(first + i) % 4]; }
  /// Element i, uniform in [0, 1).
  template <class T>
  NEUROINHIB_DEVICE [[nodiscard]] T uniform(Index i) const {
    return unit_uniform<T>(word(i));
  }
  /// Standard normal by Box and Muller: elements 2j and 2j + 1 share two words of one block.
  template <class T>
  NEUROINHIB_DEVICE [[nodiscard]] T normal(Index i) const {
    i += first;
    const auto words = block(i / 2);
    const double radius = std::sqrt(-2.0 * std::log(1.0 - unit_uniform<double>(words[0])));
    const double angle = 6.283185307179586 * unit_uniform<double>(words[1]);
    return static_cast<T>(radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle)));
  }
};

/// The part of the random state that a checkpoint keeps.
struct RandomState {
  std::uint64_t seed = 0;  ///< of all random numbers
  std::uint64_t step = 0;  ///< training steps begun
};

/// Draws numbers one after another from one stream: for data generation and shuffles, not for kernels.
class SequentialRandom {
 public:
  /// At the start of the stream of that seed and number.
  SequentialRandom(std::uint64_t seed, std::uint32_t stream) : stream_{seed, 0, stream} {}

  /// The next word, uniform in 32 bits.
  [[nodiscard]] std::uint32_t word() { return stream_.word(next_++); }
  /// Uniform in [0, 1), or in [low, high).
  [[nodiscard]] double uniform() { return unit_uniform<double>(word()); }
  [[nodiscard]] double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Integer in [low, high], both included, without modulo bias worth naming (range far below 2^32).
  [[nodiscard]] Index integer(Index low, Index high) {
    const auto range = static_cast<std::uint64_t>(high - low + 1);
    return low + static_cast<Index>((std::uint64_t{word()} * range) >> 32);
  }
  /// Standard normal, by Box and Muller.
  [[nodiscard]] double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }

 private:
  RandomStream stream_;
  Index next_ = 0;
};

/// FNV-1a, to key a parameter's initial values by its name.
[[nodiscard]] constexpr std::uint32_t hash_name(std::string_view name) {
  std::uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619u;
  return hash;
}

}  // namespace neuroinhib
