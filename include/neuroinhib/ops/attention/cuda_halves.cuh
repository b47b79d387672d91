#pragma once

#include <algorithm>
#include <array>
#include <climits>
#include <concepts>
#include <cstdint>

#include <neuroinhib/ops/attention/flash.hpp>
#include <neuroinhib/ops/gemm/cuda_maps.cuh>
#include <neuroinhib/ops/gemm/cuda_scaled_halves.cuh>

/// Attention's factors in two-byte floats, as Hopper's copy engine and matrix unit read them.
///
/// Computed: of q, k, v and, for gradients, dy each a copy [sequence · heads + head, row, padded], its rows filled up
/// with zeros.
///
/// Arithmetic: numbers keep tf32's ten bits. As they are, two-byte floats have them from 2⁻¹⁴ to 2¹⁶, and below that an
/// error of 2⁻²⁵. Where a factor's largest number lies from 2⁻⁶ to 2¹⁵, that is 2⁻¹⁹ of it at the most, and the factor
/// is rounded as it is. Else it is rounded again, times the power of two that brings its largest below 2¹⁵.
namespace neuroinhib::ops::flash {

enum Factor { kQueryFactor, kKeyFactor, kValueFactor, kSlopeFactor, kFactors };

/// 1 over a factor's power of two, and its largest number before that.
struct FactorSize {
  float inverse, largest;
};

/// A factor: `rows` rows of each sequence, `period` apart, of `width` numbers.
struct FactorRows {
  HeadRows<const float> from;
  Index period;
  int rows, width;
  bool in_fours;  ///< a row's numbers begin at multiples of 16 bytes
  __half* to;
};

/// What the rounding of all factors needs.
struct Rounding {
  static constexpr int kThreads = 256;

  FactorRows factors[kFactors];
  gemm::Divisor by_heads, by_rows[kFactors];
  int sequences, heads, padded;  ///< `padded`: numbers of a copy's row
  float* largest;                ///< [factors, blocks]
  FactorSize* sizes;             ///< [factors]

  /// Rounds this block's pieces times `scale`; the largest number of this thread's.
  __device__ float round(int number, float scale) const {
    const FactorRows& f = factors[number];
    const int pieces = padded / wgmma::kPiece;
    const unsigned count = static_cast<unsigned>(sequences) * f.rows * heads * pieces;
    float most = 0;
    for (unsigned i = blockIdx.x * kThreads + threadIdx.x; i < count; i += gridDim.x * kThreads) {
      const int column = static_cast<int>(i % pieces) * wgmma::kPiece;
      const unsigned line = i / pieces, token = by_heads.divide(line), head = line - token * heads,
                     sequence = by_rows[number].divide(token), row = token - sequence * f.rows;
      float numbers[wgmma::kPiece];
      read(f, f.from.at(sequence * f.period + row, head), column, numbers);
#pragma unroll
      for (const float x : numbers)
        if (isfinite(x)) most = fmaxf(most, fabsf(x));
      const Index target = (static_cast<Index>(sequence * heads + head) * f.rows + row) * padded + column;
      *reinterpret_cast<uint4*>(f.to + target) = packed(numbers, scale);
    }
    return most;
  }

 private:
  __device__ static void read(const FactorRows& f, const float* row, int column, float (&numbers)[wgmma::kPiece]) {
    if (f.in_fours && column + wgmma::kPiece <= f.width) return read_eight(row + column, numbers);
#pragma unroll
    for (int i = 0; i < wgmma::kPiece; ++i) numbers[i] = column + i < f.width ? row[column + i] : 0.f;
  }
};

/// The largest of a block's numbers.
__device__ inline float largest_of_block(float value) {
  __shared__ float of_warps[Rounding::kThreads / detail::kWarp];
  value = detail::warp_max(value);
  if (threadIdx.x % detail::kWarp == 0) of_warps[threadIdx.x / detail::kWarp] = value;
  __syncthreads();
  value = of_warps[0];
#pragma unroll
  for (int i = 1; i < Rounding::kThreads / detail::kWarp; ++i) value = fmaxf(value, of_warps[i]);
  return value;
}

template <int = 0>
__global__ void __launch_bounds__(Rounding::kThreads) round_kernel(Rounding r) {
  detail::pdl_begin();
  const float largest = largest_of_block(r.round(static_cast<int>(blockIdx.y), 1));
  if (threadIdx.x == 0) r.largest[blockIdx.y * gridDim.x + blockIdx.x] = largest;
}

/// Rounds again what lies outside the range in which numbers may stay as they are.
template <int = 0>
__global__ void __launch_bounds__(Rounding::kThreads) round_again_kernel(Rounding r) {
  detail::pdl_begin();
  constexpr float kMin = 1.f / 64, kMax = 32768;
  float largest = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += Rounding::kThreads)
    largest = fmaxf(largest, r.largest[blockIdx.y * gridDim.x + i]);
  largest = largest_of_block(largest);
  const float scale = largest >= kMin && largest < kMax ? 1 : scale_for(largest);
  if (blockIdx.x == 0 && threadIdx.x == 0) r.sizes[blockIdx.y] = {1 / scale, largest};
  if (scale != 1) r.round(static_cast<int>(blockIdx.y), scale);
}

/// Numbers of a copied row: whole pieces. A box that is wider is filled up with zeros.
[[nodiscard]] inline int padded_width(const FlashAttention<float>& s) {
  const auto width = static_cast<int>(std::max(s.key_width, s.value_width));
  return (width + wgmma::kPiece - 1) / wgmma::kPiece * wgmma::kPiece;
}

/// q, k, v and dy, if there is one, in two-byte floats, in the step's memory.
struct HalfFactors {
  std::array<HalfMatrices, kFactors> copies;
  const FactorSize* sizes;

  template <std::same_as<Cuda<float>> B>
  HalfFactors(B& cuda, const FlashAttention<float>& s, int padded, const HeadRows<const float>& dy = {}) {
    const Visibility& sight = s.sight;
    const Index matrices = sight.count * s.heads;
    const auto blocks = static_cast<unsigned>(8 * cuda.multiprocessors());
    Rounding r{};
    const auto set = [&](int number, const HeadRows<const float>& from, Index period, Index rows, Index width) {
      const auto begin = static_cast<Index>(reinterpret_cast<std::uintptr_t>(from.data) / sizeof(float));
      __half* const to = cuda.template kernel_memory<__half>(matrices * rows * padded);
      r.factors[number] = {
          from, period, static_cast<int>(rows), static_cast<int>(width), (begin | from.stride | from.head) % 4 == 0,
          to};
      r.by_rows[number] = gemm::Divisor(rows);
      copies[static_cast<std::size_t>(number)] = {to, matrices, rows, padded};
    };
    set(kQueryFactor, s.q, sight.queries, sight.queries, s.key_width);
    set(kKeyFactor, s.k, sight.key_rows, sight.keys, s.key_width);
    set(kValueFactor, s.v, sight.key_rows, sight.keys, s.value_width);
    if (dy) set(kSlopeFactor, dy, sight.queries, sight.queries, s.value_width);
    r.by_heads = gemm::Divisor(s.heads);
    r.sequences = static_cast<int>(sight.count);
    r.heads = static_cast<int>(s.heads);
    r.padded = padded;
    r.largest = cuda.template kernel_memory<float>(kFactors * static_cast<Index>(blocks));
    r.sizes = cuda.template kernel_memory<FactorSize>(kFactors);
    sizes = r.sizes;
    const dim3 grid(blocks, dy ? kFactors : kFactors - 1);
    cuda.launch_pdl(grid, dim3(Rounding::kThreads), 0, round_kernel<>, r);
    cuda.launch_pdl(grid, dim3(Rounding::kThreads), 0, round_again_kernel<>, r);
  }
};

/// The documents among 64 neighbouring tokens: the least and the largest number, and whether there is padding.
struct DocumentRange {
  static constexpr int kTokens = 64;
  int least = INT_MAX, largest = -1;
  bool padded = false;

  __device__ DocumentRange() = default;
  /// Of tokens [begin, end), from those of each 64; none where `ranges` is null.
  __device__ DocumentRange(const DocumentRange* ranges, int begin, int end) {
    if (ranges == nullptr) return;
#pragma unroll 1
    for (int i = begin / kTokens; i * kTokens < end; ++i) join(ranges[i]);
  }
  __device__ void join(const DocumentRange& other) {
    least = min(least, other.least);
    largest = max(largest, other.largest);
    padded |= other.padded;
  }
  __device__ bool meets(const DocumentRange& other) const { return least <= other.largest && other.least <= largest; }
  /// One document over both, without padding.
  __device__ bool is(const DocumentRange& other) const {
    return least == largest && other.least == least && other.largest == least && !padded && !other.padded;
  }
};

/// Of each 64 keys of each sequence, [sequences, ⌈keys / 64⌉]; null where there are no documents.
template <std::same_as<Cuda<float>> B>
const DocumentRange* document_ranges(B& cuda, const Visibility& sight) {
  if (sight.document == nullptr) return nullptr;
  const Index blocks = (sight.keys + DocumentRange::kTokens - 1) / DocumentRange::kTokens;
  auto* const ranges = cuda.template kernel_memory<DocumentRange>(sight.count * blocks);
  cuda.parallel_rows(sight.count * blocks, DocumentRange::kTokens,
                     [=] __device__(Index i, const detail::Team<float>& team) {
                       const Index sequence = i / blocks, first = i % blocks * DocumentRange::kTokens;
                       const Index end = min(first + DocumentRange::kTokens, sight.keys);
                       DocumentRange range;
                       for (Index key = first + team.lane; key < end; key += team.size) {
                         const int document = sight.document[sequence * sight.key_rows + key];
                         if (document < 0)
                           range.padded = true;
                         else
                           range.least = min(range.least, document), range.largest = max(range.largest, document);
                       }
                       range.least = -detail::warp_max(-range.least);
                       range.largest = detail::warp_max(range.largest);
                       range.padded = detail::warp_max(range.padded ? 1 : 0) != 0;
                       if (team.lane == 0) ranges[i] = range;
                     });
  return ranges;
}

}  // namespace neuroinhib::ops::flash
