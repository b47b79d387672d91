#pragma once

#include <neuroinhib/ops/gemm/cuda_wgmma.cuh>

/// Floats as two-byte floats (IEEE's, ten bits of mantissa as tf32) times a power of two.
namespace neuroinhib::ops {

/// The power of two that brings numbers up to `largest` below 2¹⁵; 1 where that is zero or not finite.
__device__ inline float scale_for(float largest) {
  const int exponent = static_cast<int>(__float_as_uint(largest) >> 23) - 127;
  if (largest == 0 || exponent > 127) return 1;
  return exp2f(static_cast<float>(min(14 - exponent, 126)));
}

__device__ inline uint4 packed(const float (&numbers)[wgmma::kPiece], float scale) {
  uint4 piece;
  auto* pairs = reinterpret_cast<__half2*>(&piece);
#pragma unroll
  for (int i = 0; i < wgmma::kPiece / 2; ++i)
    pairs[i] = __floats2half2_rn(scale * numbers[2 * i], scale * numbers[2 * i + 1]);
  return piece;
}

__device__ inline uint2 packed(const float4& numbers, float scale) {
  uint2 half_a_piece;
  auto* pairs = reinterpret_cast<__half2*>(&half_a_piece);
  pairs[0] = __floats2half2_rn(scale * numbers.x, scale * numbers.y);
  pairs[1] = __floats2half2_rn(scale * numbers.z, scale * numbers.w);
  return half_a_piece;
}

__device__ inline void read_eight(const float* source, float (&numbers)[wgmma::kPiece]) {
  const float4 low = reinterpret_cast<const float4*>(source)[0], high = reinterpret_cast<const float4*>(source)[1];
  numbers[0] = low.x, numbers[1] = low.y, numbers[2] = low.z, numbers[3] = low.w;
  numbers[4] = high.x, numbers[5] = high.y, numbers[6] = high.z, numbers[7] = high.w;
}

}  // namespace neuroinhib::ops
