#pragma once

#include <algorithm>
#include <cstring>

#include <neuroinhib/backend/eigen.hpp>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// A cache line of numbers, which functors with kVectorised compute with as if it were one.
template <class T>
struct Lanes {
  static constexpr int kCount = static_cast<int>(64 / sizeof(T));
  alignas(64) T value[kCount];

  Lanes() = default;
  NEUROINHIB_DEVICE Lanes(T all) {  // NOLINT(google-explicit-constructor): numbers mix with lanes
    for (T& v : value) v = all;
  }

  NEUROINHIB_DEVICE friend Lanes operator+(Lanes a, const Lanes& b) {
    for (int i = 0; i < kCount; ++i) a.value[i] += b.value[i];
    return a;
  }
  NEUROINHIB_DEVICE friend Lanes operator-(Lanes a, const Lanes& b) {
    for (int i = 0; i < kCount; ++i) a.value[i] -= b.value[i];
    return a;
  }
  NEUROINHIB_DEVICE friend Lanes operator*(Lanes a, const Lanes& b) {
    for (int i = 0; i < kCount; ++i) a.value[i] *= b.value[i];
    return a;
  }
  NEUROINHIB_DEVICE friend Lanes operator/(Lanes a, const Lanes& b) {
    for (int i = 0; i < kCount; ++i) a.value[i] /= b.value[i];
    return a;
  }
  NEUROINHIB_DEVICE friend Lanes operator-(Lanes a) {
    for (T& v : a.value) v = -v;
    return a;
  }

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
  void store(T* to, Index count) const {
    if (count == kCount)
      std::memcpy(to, value, sizeof value);
    else
      std::copy_n(value, count, to);
  }

  [[nodiscard]] Lanes exp() const { return from(array().exp()); }
  [[nodiscard]] Lanes log() const { return from(array().log()); }
  [[nodiscard]] Lanes tanh() const { return from(array().tanh()); }
  [[nodiscard]] Lanes sigmoid() const { return from(array().logistic()); }
  [[nodiscard]] Lanes sqrt() const { return from(array().sqrt()); }
  [[nodiscard]] Lanes abs() const { return from(array().abs()); }

 private:
  [[nodiscard]] ConstArrayMap<T, kCount> array() const { return ConstArrayMap<T, kCount>(value); }
  template <class Expression>
  static Lanes from(const Expression& expression) {
    Lanes result;
    ArrayMap<T, kCount>(result.value) = expression;
    return result;
  }
};

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
