#pragma once

#include <cstdint>

#include <neuroinhib/backend/cuda.cuh>

/// Where the numbers of a product's factors lie: maps from an index to an address.
namespace neuroinhib::ops::gemm {

/// Unsigned division by a number that is fixed for a kernel; numerators below 2^31 (Granlund and Montgomery 1994).
struct Divisor {
  unsigned value = 1, multiplier = 0, shift = 0;

  Divisor() = default;
  explicit Divisor(Index divisor) : value(static_cast<unsigned>(divisor)) {
    if (value <= 1) return;
    unsigned bits = 0;
    while ((std::uint64_t{1} << bits) < value) ++bits;
    multiplier = static_cast<unsigned>(((std::uint64_t{1} << (31 + bits)) + value - 1) / value);
    shift = bits - 1;
  }
  __device__ unsigned divide(unsigned number) const {
    return value == 1 ? number : __umulhi(number, multiplier) >> shift;
  }
};

/// i ↦ i · stride.
struct Line {
  Index stride;
  __device__ Index operator()(Index i) const { return i * stride; }
};

/// i ↦ digits of i in the mixed base (…, middle, inner), each times its stride: an address in an image.
struct Digits {
  Divisor inner, middle;
  Index inner_stride, middle_stride, outer_stride;

  __device__ Index operator()(Index i) const {
    const auto number = static_cast<unsigned>(i);
    const unsigned upper = inner.divide(number), lowest = number - upper * inner.value;
    const unsigned top = middle.divide(upper), next = upper - top * middle.value;
    return lowest * inner_stride + next * middle_stride + top * outer_stride;
  }
};

/// i ↦ the row of the token whose slot stands at place i of a plan; i itself where `order` is null.
struct Gathered {
  const int* order;
  Divisor chosen;
  Index stride;
  __device__ Index operator()(Index i) const {
    if (order == nullptr) return i * stride;
    return static_cast<Index>(chosen.divide(static_cast<unsigned>(order[i]))) * stride;
  }
};

/// One factor in memory: base + group · group_stride + outer(o) + inner(i). With kDepthInner the inner axis, along
/// which numbers lie side by side, is the depth k; else it is m (or n).
template <class T, bool DepthInner, class Outer, class Inner>
struct Factor {
  static constexpr bool kDepthInner = DepthInner;
  using Scalar = T;

  const T* base;
  Index group_stride;
  Outer outer;
  Inner inner;
};
template <bool DepthInner, class T, class Outer, class Inner>
[[nodiscard]] __host__ __device__ Factor<T, DepthInner, Outer, Inner> factor(const T* base, Index group_stride,
                                                                             const Outer& outer, const Inner& inner) {
  return {base, group_stride, outer, inner};
}

}  // namespace neuroinhib::ops::gemm
