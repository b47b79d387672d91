#pragma once

#include <cmath>

#include <neuroinhib/core/random.hpp>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

/// How a parameter starts. The named rules are those of torch.nn.init, with the same bounds and deviations.
struct Initializer {
  /// The laws that values are drawn from; truncated_normal is cut at two deviations.
  enum class Law { constant, uniform, normal, truncated_normal, identity };
  Law law = Law::constant;  ///< of the values; constant draws nothing
  double center = 0;        ///< the constant, or the mean
  double scale = 0;         ///< half-width of the uniform law, deviation of the normal ones

  /// Writes start values. Element i depends on the stream and i alone.
  template <class T>
  void fill(const View<T>& target, const RandomStream& random) const {
    for (Index i = 0; i < target.size(); ++i)
      target[i] = static_cast<T>(law == Law::identity ? i / target.cols() == i % target.cols()
                                                      : center + scale * draw(random, i));
  }

 private:
  [[nodiscard]] double draw(const RandomStream& random, Index i) const {
    switch (law) {
      case Law::constant:
      case Law::identity: return 0;
      case Law::uniform: return 2 * random.uniform<double>(i) - 1;
      case Law::normal: return random.normal<double>(i);
      case Law::truncated_normal: break;
    }
    // Redraws outside two deviations; each redraw takes the element's number in the next stream.
    RandomStream retry = random;
    auto value = retry.normal<double>(i);
    while (std::abs(value) > 2) {
      ++retry.step;
      value = retry.normal<double>(i);
    }
    return value;
  }
};

namespace init {

/// `value` everywhere.
[[nodiscard]] constexpr Initializer constant(double value) {
  return {Initializer::Law::constant, value, 0};
}
/// Zeros everywhere.
[[nodiscard]] constexpr Initializer zeros() {
  return constant(0);
}
/// Ones everywhere.
[[nodiscard]] constexpr Initializer ones() {
  return constant(1);
}
/// Uniform within ±`bound`.
[[nodiscard]] constexpr Initializer uniform(double bound) {
  return {Initializer::Law::uniform, 0, bound};
}
/// Gaussian with that deviation and mean.
[[nodiscard]] constexpr Initializer normal(double deviation, double mean = 0) {
  return {Initializer::Law::normal, mean, deviation};
}
/// Gaussian with that deviation and mean, cut at two deviations.
[[nodiscard]] constexpr Initializer truncated_normal(double deviation, double mean = 0) {
  return {Initializer::Law::truncated_normal, mean, deviation};
}
/// Ones on a matrix's diagonal.
[[nodiscard]] constexpr Initializer identity() {
  return {Initializer::Law::identity, 0, 0};
}
/// What torch.nn.Linear and Conv2d use for weights and biases: uniform within ±1/√fan_in.
[[nodiscard]] inline Initializer fan_in_uniform(Index fan_in) {
  return uniform(1 / std::sqrt(static_cast<double>(fan_in)));
}
/// Uniform with variance gain²/fan_in (He et al. 2015); `gain` is √2 for ReLU.
[[nodiscard]] inline Initializer kaiming_uniform(Index fan_in, double gain = std::sqrt(2.0)) {
  return uniform(gain * std::sqrt(3.0 / static_cast<double>(fan_in)));
}
/// Gaussian with variance gain²/fan_in (He et al. 2015); `gain` is √2 for ReLU.
[[nodiscard]] inline Initializer kaiming_normal(Index fan_in, double gain = std::sqrt(2.0)) {
  return normal(gain / std::sqrt(static_cast<double>(fan_in)));
}
/// Uniform with variance 2 gain²/(fan_in + fan_out) (Glorot and Bengio 2010).
[[nodiscard]] inline Initializer xavier_uniform(Index fan_in, Index fan_out, double gain = 1) {
  return uniform(gain * std::sqrt(6.0 / static_cast<double>(fan_in + fan_out)));
}
/// Gaussian with variance 2 gain²/(fan_in + fan_out) (Glorot and Bengio 2010).
[[nodiscard]] inline Initializer xavier_normal(Index fan_in, Index fan_out, double gain = 1) {
  return normal(gain * std::sqrt(2.0 / static_cast<double>(fan_in + fan_out)));
}

}  // namespace init
}  // namespace neuroinhib
