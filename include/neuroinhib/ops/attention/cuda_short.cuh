#pragma once

#include <algorithm>
#include <concepts>
#include <functional>
#include <tuple>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/attention/flash.hpp>

/// Attention within short sequences: up to 32 queries and 32 keys, rows up to 32 wide.
///
/// Computed: as flash attention, forward and backward, in float throughout.
///
/// Tiles: a block has one head of one sequence, all of it in shared memory. A warp has queries, and a lane of it a key:
/// a row of S is one number a lane, and its softmax is a few exchanges between lanes. For results a lane has a column.
///
/// Arithmetic: every sum is made by one lane in the order of its rows.
namespace neuroinhib::ops::short_rows {

inline constexpr int kLongest = 32, kWidest = 32, kStride = kWidest + 4;
using detail::kWarp;

/// Rows of a head in shared memory, filled up with zeros; four numbers of a row travel together.
struct alignas(16) HeadTile {
  float numbers[kLongest][kStride];

  /// Rows [first, first + count) of `from`.
  __device__ void load(const HeadRows<const float>& from, Index first, int head, Index count, Index width) {
    for (int i = static_cast<int>(threadIdx.x); i < kLongest * kWidest; i += static_cast<int>(blockDim.x)) {
      const int row = i / kWidest, c = i % kWidest;
      numbers[row][c] = row < count && c < width ? from.at(first + row, head)[c] : 0.f;
    }
  }
  /// ⟨row, numbers⟩.
  __device__ float product(int row, const float (&with)[kWidest]) const {
    float sum = 0;
#pragma unroll
    for (int c = 0; c < kWidest; c += 4) {
      const float4 four = *reinterpret_cast<const float4*>(&numbers[row][c]);
      sum += four.x * with[c] + four.y * with[c + 1] + four.z * with[c + 2] + four.w * with[c + 3];
    }
    return sum;
  }
  __device__ void read(int row, float (&to)[kWidest]) const {
#pragma unroll
    for (int c = 0; c < kWidest; ++c) to[c] = numbers[row][c];
  }
};

/// A block's head, and where its rows begin.
struct Head {
  Index sequence, queries, keys;
  int head;

  __device__ explicit Head(const FlashAttention<float>& s)
      : sequence(blockIdx.x / s.heads),
        queries(sequence * s.sight.queries),
        keys(sequence * s.sight.key_rows),
        head(static_cast<int>(blockIdx.x % s.heads)) {}
};

[[nodiscard]] __device__ inline bool sees(const FlashAttention<float>& s, const Head& h, int query, int key) {
  return query < s.sight.queries && key < s.sight.keys && s.sight.sees(h.sequence, query, key);
}

inline constexpr int kForwardThreads = 128, kBackwardThreads = 256;

template <int = 0>
__global__ void __launch_bounds__(kForwardThreads) forward_kernel(const __grid_constant__ FlashAttention<float> s) {
  detail::pdl_begin();
  __shared__ HeadTile q, k, v;
  const Head h(s);
  q.load(s.q, h.queries, h.head, s.sight.queries, s.key_width);
  k.load(s.k, h.keys, h.head, s.sight.keys, s.key_width);
  v.load(s.v, h.keys, h.head, s.sight.keys, s.value_width);
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float key[kWidest];
  k.read(lane, key);
  for (int i = static_cast<int>(threadIdx.x) / kWarp; i < s.sight.queries; i += kForwardThreads / kWarp) {
    const float logit = sees(s, h, i, lane) ? s.scale * q.product(i, key) : -INFINITY;
    const float largest = detail::warp_max(logit), base = largest == -INFINITY ? 0.f : largest;
    const float weight = expf(logit - base), sum = detail::warp_sum(weight);
    const float share = sum == 0 ? 0.f : weight / sum, log_sum = base + logf(sum);  // of nothing seen: 0 and −∞
    float y = 0;
#pragma unroll
    for (int j = 0; j < kLongest; ++j) y += __shfl_sync(0xffffffffu, share, j) * v.numbers[j][lane];
    const Index row = h.queries + i;
    if (lane < s.value_width) s.y.at(row, h.head)[lane] = y;
    const float entropy = detail::warp_sum(share > 0 ? share * (log_sum - logit) : 0.f);
    if (lane == 0) *s.log_sum.at(row, h.head) = log_sum;
    if (lane == 0 && s.entropy) *s.entropy.at(row, h.head) = fmaxf(entropy, 0.f);
    if (s.self && lane == s.sight.past + i) *s.self.at(row, h.head) = share;
  }
}

/// Pairs of queries and keys.
using Pairs = float[kLongest][kLongest + 1];

/// slot's rows = scale · pairs · rows, or ByKeys scale · pairsᵀ · rows; a lane has a column.
template <bool ByKeys>
__device__ void put_rows(const HeadSlot<float>& slot, const Pairs& pairs, const HeadTile& rows, Index first, int head,
                         Index count, Index width, float scale) {
  if (!slot) return;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int row = static_cast<int>(threadIdx.x) / kWarp; row < count; row += kBackwardThreads / kWarp) {
    float sum = 0;
#pragma unroll 8
    for (int other = 0; other < kLongest; ++other)
      sum += (ByKeys ? pairs[other][row] : pairs[row][other]) * rows.numbers[other][lane];
    if (lane < width) slot.put(first + row, head, lane, scale * sum);
  }
}

template <int = 0>
__global__ void __launch_bounds__(kBackwardThreads)
    backward_kernel(const __grid_constant__ FlashAttention<float> s, const __grid_constant__ FlashGradient<float> g) {
  detail::pdl_begin();
  __shared__ HeadTile q, k, v, dy;
  __shared__ Pairs weights, slopes;
  const Head h(s);
  q.load(s.q, h.queries, h.head, s.sight.queries, s.key_width);
  k.load(s.k, h.keys, h.head, s.sight.keys, s.key_width);
  v.load(s.v, h.keys, h.head, s.sight.keys, s.value_width);
  dy.load(g.dy, h.queries, h.head, s.sight.queries, s.value_width);
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float key[kWidest], value[kWidest];
  k.read(lane, key);
  v.read(lane, value);
  for (int i = static_cast<int>(threadIdx.x) / kWarp; i < kLongest; i += kBackwardThreads / kWarp) {
    const bool seen = sees(s, h, i, lane);
    const Index row = h.queries + i;
    const float weight = seen ? expf(s.scale * q.product(i, key) - *g.log_sum.at(row, h.head)) : 0.f;
    weights[i][lane] = weight;
    slopes[i][lane] = seen ? weight * (dy.product(i, value) - *g.delta.at(row, h.head)) : 0.f;
  }
  __syncthreads();
  put_rows<false>(g.dq, slopes, k, h.queries, h.head, s.sight.queries, s.key_width, s.scale);
  __syncthreads();  // q, k and v may be the same rows, to which each adds
  put_rows<true>(g.dk, slopes, q, h.keys, h.head, s.sight.keys, s.key_width, s.scale);
  __syncthreads();
  put_rows<true>(g.dv, weights, dy, h.keys, h.head, s.sight.keys, s.value_width, 1);
}

/// Whether these kernels compute it.
[[nodiscard]] inline bool suit(const FlashAttention<float>& s) {
  const auto fits = [](Index width) { return width > 0 && width <= kWidest; };
  return s.sight.queries <= kLongest && s.sight.keys <= kLongest && fits(s.key_width) && fits(s.value_width) && !s.bias;
}
/// Whether two gradients have columns in common, other than being the same ones: heads, which are computed side by
/// side, would then add to one number.
[[nodiscard]] inline bool meet(const FlashAttention<float>& s, const HeadSlot<float>& a, const HeadSlot<float>& b) {
  if (!a || !b) return false;
  if (a.data == b.data) return a.head != b.head;
  const auto& [first, second] = std::less<>()(a.data, b.data) ? std::tie(a, b) : std::tie(b, a);
  return second.data - first.data < (s.heads - 1) * first.head + std::max(s.key_width, s.value_width);
}
[[nodiscard]] inline bool suit(const FlashAttention<float>& s, const FlashGradient<float>& g) {
  const bool apart = !meet(s, g.dq, g.dk) && !meet(s, g.dq, g.dv) && !meet(s, g.dk, g.dv);
  return suit(s) && apart && g.label == nullptr && !g.dbias && !g.row_sum;
}

template <std::same_as<Cuda<float>> B>
void run_forward(B& cuda, const FlashAttention<float>& s) {
  cuda.launch_pdl(dim3(static_cast<unsigned>(s.sight.count * s.heads)), dim3(kForwardThreads), 0, forward_kernel<>, s);
}
template <std::same_as<Cuda<float>> B>
void run_backward(B& cuda, const FlashAttention<float>& s, const FlashGradient<float>& g) {
  cuda.launch_pdl(dim3(static_cast<unsigned>(s.sight.count * s.heads)), dim3(kBackwardThreads), 0, backward_kernel<>, s,
                  g);
}

}  // namespace neuroinhib::ops::short_rows
