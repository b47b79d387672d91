#pragma once

#include <concepts>
#include <cstdint>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/backend/cuda_halves.cuh>
#include <neuroinhib/ops/gemm/cuda_wgmma_widths.cuh>
#include <neuroinhib/ops/linear/op.hpp>

/// Scores of many tokens for few experts, with float's bits, on Hopper's matrix unit.
///
/// Computed: y [rows, out] = x Wᵀ + bias for out ≤ 128.
///
/// Tiles: a block has 64 or 128 rows, a warpgroup 64 of them, and all columns; it goes along the depth 64 numbers at a
/// time.
///
/// Pipeline: x comes straight into the registers that the matrix unit takes it from, W through shared memory, in turn
/// into one of two places. The next step's numbers are asked for before this one's are multiplied.
///
/// Arithmetic: 64 numbers of a row, times a power of two, are sums of a high and a low half; x w = l h + h l + h h.
/// Every 64 of the depth are added up by the matrix unit and then rounded to nearest into a float: as exact as a sum in
/// float.
namespace neuroinhib::ops::narrow {

inline constexpr int kDepth = 64;
inline constexpr Index kWidest = 128, kMinRows = 4096;

/// One layer's factors.
struct Product {
  const float *x, *w, *bias;  ///< bias null where there is none
  float* y;
  Index rows, in, out;
  bool aligned;  ///< four numbers of a row travel together
};

/// Four numbers of row `row` from `c` on; zeros beyond.
__device__ __forceinline__ float4 four_of(const float* matrix, Index row, Index rows, Index c, Index width,
                                          bool aligned) {
  return row < rows ? detail::four_of(matrix + row * width, c, width, aligned) : float4{0, 0, 0, 0};
}
__device__ __forceinline__ float largest_of(const float4& x) {
  return fmaxf(fmaxf(fabsf(x.x), fabsf(x.y)), fmaxf(fabsf(x.z), fabsf(x.w)));
}
/// The largest of four neighbouring lanes.
__device__ __forceinline__ float largest_of_four_lanes(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}

/// Up to N outputs, blocks of so many rows, so many on a multiprocessor.
template <int N, int Rows, int Blocks>
struct Plan {
  static constexpr int kN = N, kRows = Rows, kBlocks = Blocks, kThreads = 2 * Rows;
};

/// 64 of the depth of W in shared memory: high and low halves in rows of 128 bytes, swizzled, and their units.
template <int N>
struct StageOfW {
  uint4 high[N * 8], low[N * 8];
  float units[N];

  static constexpr int kBytes = (2 * N * 128 + N * 4 + 1023) / 1024 * 1024;
};

#ifdef NEUROINHIB_WGMMA

/// This thread's numbers of 64 of the depth of x: of its rows `row` and row + 8, of every 16 the four from 4 (lane % 4)
/// on. The matrix unit takes them for 2 (lane % 4), the next, and those 8 further: any order will do that W has too.
struct RowsOfX {
  float4 numbers[2][4];

  __device__ __forceinline__ void load(const Product& p, Index row, Index c) {
#pragma unroll
    for (int h = 0; h < 2; ++h)
#pragma unroll
      for (int k = 0; k < 4; ++k)
        numbers[h][k] = four_of(p.x, row + 8 * h, p.rows, c + 16 * k + threadIdx.x % 4 * 4, p.in, p.aligned);
  }
  /// Their halves; units[h] is what 1 stands for.
  __device__ __forceinline__ void split(std::uint32_t (&high)[4][4], std::uint32_t (&low)[4][4],
                                        float (&units)[2]) const {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float largest = 0;
#pragma unroll
      for (int k = 0; k < 4; ++k) largest = fmaxf(largest, largest_of(numbers[h][k]));
      const float scale = detail::scale_for(largest_of_four_lanes(largest));
      units[h] = 1 / scale;
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const float4& x = numbers[h][k];
        float a = x.x * scale, b = x.y * scale, c = x.z * scale, d = x.w * scale;
        high[k][h] = detail::take_high(a, b);
        high[k][h + 2] = detail::take_high(c, d);
        low[k][h] = detail::take_high(a, b);
        low[k][h + 2] = detail::take_high(c, d);
      }
    }
  }
};

/// This thread's numbers of 64 of the depth of W: 16 of each of its rows, of which four neighbouring lanes have one.
template <class P>
struct RowsOfW {
  static constexpr int N = P::kN, kThreads = P::kThreads, kEach = (N * 4 + kThreads - 1) / kThreads;
  float4 numbers[kEach][4];

  __device__ static int row(int i) { return (static_cast<int>(threadIdx.x) + i * kThreads) / 4; }
  __device__ __forceinline__ void load(const Product& p, Index c) {
#pragma unroll
    for (int i = 0; i < kEach; ++i)
#pragma unroll
      for (int k = 0; k < 4; ++k)
        numbers[i][k] = four_of(p.w, row(i), row(i) < N ? p.out : 0, c + threadIdx.x % 4 * 16 + 4 * k, p.in, p.aligned);
  }
  __device__ __forceinline__ void store(StageOfW<N>& stage) const {
    const int quarter = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      float largest = 0;
#pragma unroll
      for (int k = 0; k < 4; ++k) largest = fmaxf(largest, largest_of(numbers[i][k]));
      const float scale = detail::scale_for(largest_of_four_lanes(largest));
      if (row(i) >= N) continue;
      std::uint32_t high[2][4], low[2][4];  // of the first two and the last two of each four
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const float4& x = numbers[i][k];
        float a = x.x * scale, b = x.y * scale, c = x.z * scale, d = x.w * scale;
        high[0][k] = detail::take_high(a, b);
        high[1][k] = detail::take_high(c, d);
        low[0][k] = detail::take_high(a, b);
        low[1][k] = detail::take_high(c, d);
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int place = row(i) * 8 + ((2 * quarter + half) ^ row(i) % 8);
        stage.high[place] = {high[half][0], high[half][1], high[half][2], high[half][3]};
        stage.low[place] = {low[half][0], low[half][1], low[half][2], low[half][3]};
      }
      if (quarter == 0) stage.units[row(i)] = 1 / scale;
    }
  }
};

/// Names a factor in rows of 128 bytes, swizzled, depth inside.
__device__ inline std::uint64_t name(const uint4* rows) {
  constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62, kEightRows = 1024 >> 4;
  return static_cast<unsigned>(__cvta_generic_to_shared(rows)) >> 4 | std::uint64_t{1} << 16 | kEightRows << 32 |
         kSwizzle128;
}

/// total += 64 of the depth.
template <int N>
__device__ __forceinline__ void multiply(float (&total)[N / 2], const RowsOfX& x, const StageOfW<N>& w) {
  std::uint32_t high[4][4], low[4][4];
  float units[2], sums[N / 2];
  x.split(high, low, units);
  const std::uint64_t of_high = name(w.high), of_low = name(w.low);
  wgmma::begin(sums);
#pragma unroll
  for (int k = 0; k < 4; ++k) wgmma::multiply<__half, wgmma::Major::depth>(sums, low[k], of_high + 2 * k, k > 0);
#pragma unroll
  for (int k = 0; k < 4; ++k) wgmma::multiply<__half, wgmma::Major::depth>(sums, high[k], of_low + 2 * k, true);
#pragma unroll
  for (int k = 0; k < 4; ++k) wgmma::multiply<__half, wgmma::Major::depth>(sums, high[k], of_high + 2 * k, true);
  wgmma::finish(sums);
#pragma unroll
  for (int i = 0; i < N / 2; ++i) {
    const int column = 8 * (i / 4) + static_cast<int>(threadIdx.x) % 4 * 2 + i % 2;
    total[i] += sums[i] * (units[i / 2 % 2] * w.units[column]);
  }
}

#endif

template <class P>
__global__ void __launch_bounds__(P::kThreads, P::kBlocks) narrow_kernel(Product p) {
#ifdef NEUROINHIB_WGMMA
  detail::pdl_begin();
  constexpr int N = P::kN;
  extern __shared__ __align__(1024) unsigned char shared[];
  const auto stage = [&](int i) -> StageOfW<N>& {
    return *reinterpret_cast<StageOfW<N>*>(shared + i % 2 * StageOfW<N>::kBytes);
  };
  const int lane = static_cast<int>(threadIdx.x) % detail::kWarp;
  const Index row =
      static_cast<Index>(blockIdx.x) * P::kRows + static_cast<int>(threadIdx.x) / detail::kWarp * 16 + lane / 4;
  const int steps = static_cast<int>((p.in + kDepth - 1) / kDepth);
  RowsOfX x;
  RowsOfW<P> w;
  float total[N / 2];
#pragma unroll
  for (float& sum : total) sum = 0;
  w.load(p, 0);
  x.load(p, row, 0);
  for (int step = 0; step < steps; ++step) {
    w.store(stage(step));
    wgmma::publish();
    __syncthreads();
    const RowsOfX now = x;
    if (step + 1 < steps) {
      w.load(p, static_cast<Index>(step + 1) * kDepth);
      x.load(p, row, static_cast<Index>(step + 1) * kDepth);
    }
    multiply(total, now, stage(step));
  }
#pragma unroll
  for (int i = 0; i < N / 2; ++i) {
    const Index column = 8 * (i / 4) + lane % 4 * 2 + i % 2, at = row + 8 * (i / 2 % 2);
    if (column < p.out && at < p.rows) p.y[at * p.out + column] = total[i] + (p.bias != nullptr ? p.bias[column] : 0.f);
  }
#endif
}

/// Whether a product is computed here.
inline bool suits(const Cuda<float>& cuda, Index rows, Index out) {
  return cuda.has_wgmma() && rows >= kMinRows && out <= kWidest;
}

template <class P>
void run(Cuda<float>& cuda, const Product& p) {
  constexpr int kSharedBytes = 2 * StageOfW<P::kN>::kBytes;
  auto* kernel = narrow_kernel<P>;
  cuda.allow_shared(kernel, kSharedBytes);
  cuda.launch_pdl(dim3(static_cast<unsigned>((p.rows + P::kRows - 1) / P::kRows)), dim3(P::kThreads), kSharedBytes,
                  kernel, p);
}

template <std::same_as<Cuda<float>> B>
void multiply(B& cuda, const Product& p) {
  if (p.out <= 16) return run<Plan<16, 64, 2>>(cuda, p);
  if (p.out <= 64) return run<Plan<64, 128, 1>>(cuda, p);
  run<Plan<128, 128, 1>>(cuda, p);
}

}  // namespace neuroinhib::ops::narrow
