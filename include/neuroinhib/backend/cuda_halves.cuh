#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include <neuroinhib/core/tensor.hpp>

/// Numbers in float as sums of two halves, high and low, which miss 2⁻²² of them.
namespace neuroinhib::detail {

/// Two numbers' high halves; leaves what they miss.
__device__ __forceinline__ std::uint32_t take_high(float& a, float& b) {
  const __half2 high = __floats2half2_rn(a, b);
  a -= __low2float(high);
  b -= __high2float(high);
  return *reinterpret_cast<const std::uint32_t*>(&high);
}

/// The power of two that brings `size` into [2¹⁴, 2¹⁵), from 2⁻¹⁰⁰ to 2¹⁰⁰; 1 where there is none.
__device__ __forceinline__ float scale_for(float size) {
  if (!(size > 0) || !isfinite(size)) return 1;
  const int exponent = static_cast<int>(__float_as_uint(size) >> 23) - 127;
  return __uint_as_float(static_cast<std::uint32_t>(min(max(14 - exponent, -100), 100) + 127) << 23);
}

/// Four numbers of a row from `c` on, zeros beyond its width; `in_fours`: where that and every address allow it.
__device__ __forceinline__ float4 four_of(const float* row, Index c, Index width, bool in_fours) {
  if (in_fours) return c < width ? *reinterpret_cast<const float4*>(row + c) : float4{0, 0, 0, 0};
  const auto number = [&](Index i) { return c + i < width ? row[c + i] : 0.f; };
  return {number(0), number(1), number(2), number(3)};
}

}  // namespace neuroinhib::detail
