#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <type_traits>

#include <neuroinhib/backend/eigen.hpp>
#include <neuroinhib/backend/simd.hpp>
#include <neuroinhib/core/tensor.hpp>
#include <neuroinhib/ops/map/math.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Elements that a thread takes at a time in elementwise kernels.
inline constexpr Index kElementBlock = 4096;

/// A cache line of kCount numbers (`value`), which functors with kVectorised compute with as if it were one. Lanes made
/// of one number have it everywhere; exp(), log(), tanh(), sqrt(), abs(), relu(), step(), softplus() and normal_cdf()
/// are those of ops/map/math.hpp, lane by lane.
template <class T>
class Lanes {
 public:
  static constexpr int kCount = static_cast<int>(64 / sizeof(T));
  alignas(64) T value[kCount];

  Lanes() = default;
  template <class N>
    requires std::is_arithmetic_v<N>
  NEUROINHIB_DEVICE Lanes(N all) {  // NOLINT(google-explicit-constructor): numbers mix with lanes
    for (T& v : value) v = static_cast<T>(all);
  }

  NEUROINHIB_NUMBERS_OR_LANES
  NEUROINHIB_DEVICE friend Lanes operator+(const Lanes& a, const Lanes& b) { return each(std::plus{}, a, b); }
  NEUROINHIB_NUMBERS_OR_LANES
  NEUROINHIB_DEVICE friend Lanes operator-(const Lanes& a, const Lanes& b) { return each(std::minus{}, a, b); }
  NEUROINHIB_NUMBERS_OR_LANES
  NEUROINHIB_DEVICE friend Lanes operator*(const Lanes& a, const Lanes& b) { return each(std::multiplies{}, a, b); }
  NEUROINHIB_NUMBERS_OR_LANES
  NEUROINHIB_DEVICE friend Lanes operator/(const Lanes& a, const Lanes& b) { return each(std::divides{}, a, b); }
  NEUROINHIB_NUMBERS_OR_LANES
  NEUROINHIB_DEVICE friend Lanes operator-(const Lanes& a) { return each(std::negate{}, a); }

  /// Reads `count` numbers; where fewer than all, the last is repeated, so that functions see none that is not an
  /// input.
  [[nodiscard]] static Lanes load(const T* from, Index count) {
    Lanes result;
    if (count == kCount) {
      std::memcpy(result.value, from, sizeof result.value);
    } else {
      result = from[count - 1];
      std::copy_n(from, count, result.value);
    }
    return result;
  }
  /// Writes the first `count` numbers.
  void store(T* to, Index count) const {
    if (count == kCount)
      std::memcpy(to, value, sizeof value);
    else
      std::copy_n(value, count, to);
  }

  [[nodiscard]] Lanes exp() const {
    // Eigen's of −∞ is a small number.
    return each([](const auto& x, const auto& e) { return x < kLeast ? Register{} : e; }, *this,
                evaluated(array().exp()));
  }
  [[nodiscard]] Lanes log() const { return evaluated(array().log()); }
  [[nodiscard]] Lanes tanh() const { return evaluated(array().tanh()); }
  /// Eigen's logistic() is right to 1e-7 of one, this to a rounding of itself.
  [[nodiscard]] Lanes sigmoid() const { return 1 / (1 + (-*this).exp()); }
  [[nodiscard]] Lanes sqrt() const { return evaluated(array().sqrt()); }
  [[nodiscard]] Lanes abs() const { return evaluated(array().abs()); }
  [[nodiscard]] Lanes relu() const {
    return each([](const auto& x) { return x <= 0 ? Register{} : x; }, *this);
  }
  [[nodiscard]] Lanes step() const {
    return each([](const auto& x) { return x > 0 ? Register{} + 1 : Register{}; }, *this);
  }
  [[nodiscard]] Lanes softplus() const {
    const Lanes e = (-abs()).exp();
    return relu() + evaluated(e.array().log1p());
  }
  [[nodiscard]] Lanes normal_cdf() const {
    if constexpr (sizeof(T) > sizeof(float)) {
      Lanes result;
      for (int i = 0; i < kCount; ++i) result.value[i] = math::normal_cdf(value[i]);
      return result;
    }
    // erfc of a positive number as t exp(−z² + a polynomial of t), Numerical Recipes, section 6.2: to 1.2e-7 of itself.
    // z² in two parts, of which the first is exact.
    constexpr T kPolynomial[]{T(0.17087277),  T(-0.82215223), T(1.48851587), T(-1.13520398), T(0.27886807),
                              T(-0.18628806), T(0.09678418),  T(0.37409196), T(1.00002368),  T(-1.26551223)};
    const Lanes z = each([](const auto& x) { return x > 16 ? Register{} + 16 : x; }, abs() * T(0.70710678118654752));
    const Lanes coarse = evaluated((z.array() * T{16}).floor()) * T(0.0625);
    const Lanes t = 1 / (1 + T(0.5) * z);
    Lanes power = kPolynomial[0];
    for (int i = 1; i < 10; ++i) power = power * t + kPolynomial[i];
    const Lanes tail = T(0.5) * t * (-coarse * coarse).exp() * (power - (z - coarse) * (z + coarse)).exp();
    return each([](const auto& x, const auto& rest) { return x > 0 ? 1 - rest : rest; }, *this, tail);
  }

 private:
  static constexpr T kLeast = sizeof(T) == 4 ? T(-103.9) : T(-745.1);  ///< below, exp is zero
  using Register = typename simd::Vector<T>::Value;

  /// f, register by register: numbers that go to memory one by one and come back together make processors wait.
  template <class F, class... X>
  [[nodiscard]] static Lanes each(const F& f, const X&... x) {
    Lanes result;
    for (std::size_t first = 0; first < kCount; first += sizeof(Register) / sizeof(T)) {
      const Register y = f(part(x.value + first)...);
      std::memcpy(result.value + first, &y, sizeof y);
    }
    return result;
  }
  [[nodiscard]] static Register part(const T* from) {
    Register result;
    std::memcpy(&result, from, sizeof result);
    return result;
  }
  [[nodiscard]] ConstArrayMap<T, kCount> array() const { return ConstArrayMap<T, kCount>(value); }
  template <class Expression>
  [[nodiscard]] static Lanes evaluated(const Expression& expression) {
    Lanes result;
    ArrayMap<T, kCount>(result.value) = expression;
    return result;
  }
};

/// visit(i, lanes) for so many elements from i on, `lanes` at a time: a full line as a constant.
template <class T, class Visit>
void for_each_line(Index count, const Visit& visit) {
  constexpr Index kLanes = Lanes<T>::kCount;
  Index i = 0;
  for (; i + kLanes <= count; i += kLanes) visit(i, std::integral_constant<Index, kLanes>{});
  if (i < count) visit(i, count - i);
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
