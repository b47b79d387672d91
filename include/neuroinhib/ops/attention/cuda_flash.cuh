#pragma once

#include <algorithm>
#include <cmath>

#include <neuroinhib/ops/attention/flash.hpp>
#include <neuroinhib/ops/gemm/cuda.cuh>

/// The kernels of flash attention whose rows are at most kWidest wide. A block has 64 rows of its own, 16 a warp, and
/// goes over the others 64 at a time: what a warp needs of a tile of weights is in its own registers and its own part
/// of shared memory. A forward pass; a pass over queries for dq, one over keys for dk, dv and dbias: no sum is shared
/// between blocks.
namespace neuroinhib::ops::flash {

inline constexpr int kTile = 64, kChunk = 32, kThreads = 128, kWarpRows = 16, kStride = kTile + 4;
inline constexpr Index kWidest = 128;

/// In which numbers tiles are multiplied, and how many travel together; keys and values up to so many times 64 wide.
template <class MathType, int VectorSize, int KeyTiles, int ValueTiles>
struct FlashPlan {
  using Math = MathType;
  using T = typename Math::Scalar;
  static constexpr int kKeys = KeyTiles, kValues = ValueTiles;
  using Panel = gemm::Panel<T, true, kTile, kChunk, kThreads, VectorSize, Math::layout(true, VectorSize)>;
  static constexpr int kKeyPanels = kKeys * kTile / kChunk, kValuePanels = kValues * kTile / kChunk;
  static_assert(Math::kWarpM == kWarpRows && Math::kWarpN == kTile);

  /// Keys (or queries) and values (or dy) of the block's own rows and of the others, a tile of weights, four numbers a
  /// row.
  [[nodiscard]] static constexpr std::size_t shared_bytes(bool own_values) {
    const int panels = 2 * kKeyPanels + (own_values ? 2 : 1) * kValuePanels;
    return sizeof(T) * static_cast<std::size_t>(panels * Panel::kSize + kTile * kStride + 4 * kTile);
  }
};

/// A warp's part of the tile of weights as a product's left factor.
struct WeightFactor {
  static constexpr gemm::Layout kLayout = gemm::Layout::padded;
  __device__ static int at(int line, int depth) { return line * kStride + depth; }
};
/// Rows in panels as a product's right factor: a panel's rows are the depth, and columns go on in the next panel.
template <class Panel>
struct RowsFactor {
  __device__ static int at(int line, int depth) {
    return line / kChunk * Panel::kSize + Panel::piece_at(depth, line % kChunk);
  }
};

/// What is kept beside a tile: one number for each key (its bias) or query.
enum class RowValue { bias, log_sum, delta, label };

/// Shared memory of a block.
template <class Plan>
struct Shared {
  using T = typename Plan::T;
  T *own, *own_values, *others, *other_values;
  T* weights;  ///< of this warp
  T* numbers;  ///< of each RowValue one a row

  __device__ Shared(unsigned char* memory, bool with_own_values) {
    own = reinterpret_cast<T*>(memory);
    others = own + Plan::kKeyPanels * Plan::Panel::kSize;
    other_values = others + Plan::kKeyPanels * Plan::Panel::kSize;
    own_values = other_values + Plan::kValuePanels * Plan::Panel::kSize;
    T* const tile = with_own_values ? own_values + Plan::kValuePanels * Plan::Panel::kSize : own_values;
    weights = tile + static_cast<int>(threadIdx.x) / 32 * kWarpRows * kStride;
    numbers = tile + kTile * kStride;
  }
  __device__ T& number(RowValue kind, int i) const { return numbers[static_cast<int>(kind) * kTile + i]; }
};

/// Starts bringing `count` rows of `width` numbers into panels; columns beyond are zero.
template <class Plan, int Panels, class T = typename Plan::T>
__device__ void load_rows(const T* rows, Index stride, int count, int width, T* panels) {
  using Panel = typename Plan::Panel;
  const auto f = gemm::factor<true>(rows, 0, gemm::Line{stride}, gemm::Line{1});
  typename Panel::template Reader<std::remove_const_t<decltype(f)>> read(f, 0, 0, count);
#pragma unroll
  for (int i = 0; i < Panels; ++i)
    if (i == 0 || i * kChunk < width) read.load(f, panels + i * Panel::kSize, i * kChunk, width);
}
__device__ inline void await_rows() {
  gemm::commit_copies();
  gemm::wait_copies<0>();
  __syncthreads();
}

/// sums += own rowsᵀ of this warp times others, both in panels, `width` wide.
template <class Plan, int Panels, class T = typename Plan::T>
__device__ void multiply_rows(typename Plan::Math& sums, const T* own, const T* others, int width) {
  using Panel = typename Plan::Panel;
  const int first = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
#pragma unroll
  for (int i = 0; i < Panels; ++i)
    if (i * kChunk < width)
      sums.template multiply<Panel, Panel, kChunk>(own + i * Panel::kSize, others + i * Panel::kSize, first, 0);
}

/// What comes of tiles: results of this warp's rows, 64 columns at a time, in registers.
template <class Plan, int Tiles>
struct Sums {
  using T = typename Plan::T;
  typename Plan::Math parts[Tiles];

  /// += weights · rows in panels, `width` wide.
  __device__ void add(const T* weights, const T* rows, int width) {
    using Panel = typename Plan::Panel;
#pragma unroll
    for (int i = 0; i < Tiles; ++i)
      if (i * kTile < width)
        parts[i].template multiply<WeightFactor, RowsFactor<Panel>, kTile>(
            weights, rows + i * (kTile / kChunk) * Panel::kSize, 0, 0);
  }
  /// Multiplies row r of this thread's by factors[r].
  __device__ void shrink(const T (&factors)[Plan::Math::kRows]) {
#pragma unroll
    for (int i = 0; i < Tiles; ++i)
#pragma unroll
      for (int r = 0; r < Plan::Math::kRows; ++r)
#pragma unroll
        for (int c = 0; c < Plan::Math::kColumns; ++c) parts[i].at(r, c) *= factors[r];
  }
  /// rows.at(first + row, head)[column] = factors[r] · result for the `count` rows of the block.
  __device__ void store(const HeadRows<T>& rows, Index first, int head, int count, int width,
                        const T (&factors)[Plan::Math::kRows]) {
    using Math = typename Plan::Math;
    const int warp_row = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
#pragma unroll
    for (int r = 0; r < Math::kRows; ++r) {
      const int row = warp_row + Math::row(r);
      if (row >= count) continue;
      T* const target = rows.at(first + row, head);
#pragma unroll
      for (int i = 0; i < Tiles; ++i)
#pragma unroll
        for (int c = 0; c < Math::kColumns; ++c) {
          const int column = i * kTile + Math::column(c);
          if (column < width) target[column] = factors[r] * parts[i].at(r, c);
        }
    }
  }
};

template <class Math, class T = typename Math::Scalar>
__device__ T exponential(T x) {
  if constexpr (Math::kExact)
    return exp(x);
  else
    return __expf(x);
}

/// x, or 0 where it is below; NaN stays.
template <class T>
__device__ T positive_part(T x) {
  return x < 0 ? T{0} : x;
}

/// Over the lanes that share a row.
template <class Math, class T = typename Math::Scalar>
__device__ T row_sum(T value) {
#pragma unroll
  for (int step = 1; step < Math::kRowLanes; step *= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}
template <class Math, class T = typename Math::Scalar>
__device__ T row_max(T value) {
#pragma unroll
  for (int step = 1; step < Math::kRowLanes; step *= 2) value = max(value, __shfl_xor_sync(0xffffffffu, value, step));
  return value;
}

[[nodiscard]] __host__ __device__ constexpr int tiles_of(Index extent) {
  return static_cast<int>((extent + kTile - 1) / kTile);
}

/// What one block works on: 64 queries, or keys, of one sequence and head.
struct Block {
  int sequence, head, begin, count;

  __device__ Block(Index extent, Index heads, bool last_first) {
    const int tiles = tiles_of(extent), number = static_cast<int>(blockIdx.x), rest = number / tiles;
    begin = (last_first ? tiles - 1 - number % tiles : number % tiles) * kTile;
    count = min(kTile, static_cast<int>(extent) - begin);
    head = rest % static_cast<int>(heads);
    sequence = rest / static_cast<int>(heads);
  }
};

/// This block's share of a pass's tiles.
struct Slice {
  int begin, end;
  __device__ Slice(int first, int tiles) {
    const int splits = static_cast<int>(gridDim.y), each = (tiles - first + splits - 1) / splits;
    begin = first + each * static_cast<int>(blockIdx.y);
    end = min(tiles, begin + each);
  }
};

/// y, log-sum, entropy and weight on itself, of all keys or of each split's: then `split` rows apart.
template <class Plan, class T = typename Plan::T>
__global__ void __launch_bounds__(kThreads) forward_kernel(FlashAttention<T> s, Index split) {
  detail::pdl_begin();
  using Math = typename Plan::Math;
  extern __shared__ __align__(16) unsigned char memory[];
  const Shared<Plan> shared(memory, false);
  const Block own(s.sight.queries, s.heads, true);
  const Index first_query = own.sequence * s.sight.queries + own.begin, first_key = own.sequence * s.sight.key_rows;
  const Index out = first_query + blockIdx.y * split;
  const int d = static_cast<int>(s.key_width), dv = static_cast<int>(s.value_width);
  const int end = static_cast<int>(s.sight.keys_until(own.begin + own.count));
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  const T hidden = static_cast<T>(-INFINITY);
  load_rows<Plan, Plan::kKeyPanels>(s.q.at(first_query, own.head), s.q.stride, own.count, d, shared.own);

  T largest[Math::kRows], sum[Math::kRows], moment[Math::kRows], self[Math::kRows];
#pragma unroll
  for (int r = 0; r < Math::kRows; ++r) largest[r] = self[r] = hidden, sum[r] = moment[r] = 0;
  Sums<Plan, Plan::kValues> y;
  const Slice slice(0, tiles_of(end));
  for (int tile = slice.begin; tile < slice.end; ++tile) {
    const int k = tile * kTile, keys = min(kTile, end - k);
    load_rows<Plan, Plan::kKeyPanels>(s.k.at(first_key + k, own.head), s.k.stride, keys, d, shared.others);
    if (dv > 0)
      load_rows<Plan, Plan::kValuePanels>(s.v.at(first_key + k, own.head), s.v.stride, keys, dv, shared.other_values);
    if (s.bias && static_cast<int>(threadIdx.x) < keys)
      shared.number(RowValue::bias, threadIdx.x) = *s.bias.at(first_key + k + threadIdx.x, own.head);
    await_rows();
    Math logits;
    multiply_rows<Plan, Plan::kKeyPanels>(logits, shared.own, shared.others, d);
    const bool whole = keys == kTile && own.count == kTile && s.sight.open(own.begin, k + keys);
    T shrink[Math::kRows];
#pragma unroll
    for (int r = 0; r < Math::kRows; ++r) {
      const int row = warp_row + Math::row(r), position = static_cast<int>(s.sight.past) + own.begin + row - k;
      T highest = largest[r];
#pragma unroll
      for (int c = 0; c < Math::kColumns; ++c) logits.at(r, c) *= s.scale;
      if (s.bias) {
#pragma unroll
        for (int c = 0; c < Math::kColumns; ++c) logits.at(r, c) += shared.number(RowValue::bias, Math::column(c));
      }
      if (!whole) {
#pragma unroll
        for (int c = 0; c < Math::kColumns; ++c) {
          const int n = Math::column(c);
          const bool seen = n < keys && (row >= own.count || s.sight.sees(own.sequence, own.begin + row, k + n));
          if (!seen) logits.at(r, c) = hidden;
        }
      }
      if (s.self && position >= 0 && position < kTile) {
#pragma unroll
        for (int c = 0; c < Math::kColumns; ++c)
          if (Math::column(c) == position) self[r] = logits.at(r, c);
      }
#pragma unroll
      for (int c = 0; c < Math::kColumns; ++c) highest = max(highest, logits.at(r, c));
      highest = row_max<Math>(highest);
      const T base = highest == hidden ? T{0} : highest;  // nothing seen yet: all weights are zero
      T added = 0, moved = 0;
#pragma unroll
      for (int c = 0; c < Math::kColumns; ++c) {
        T& logit = logits.at(r, c);
        const T distance = logit - base, weight = exponential<Math>(distance);
        added += weight;
        moved += weight > 0 ? weight * distance : T{0};
        logit = weight;
      }
      shrink[r] = largest[r] == hidden ? T{0} : exponential<Math>(largest[r] - base);
      if (largest[r] != hidden) moment[r] = shrink[r] * (moment[r] + (largest[r] - base) * sum[r]);
      moment[r] += moved;  // of this thread's columns: added up in the end
      sum[r] = shrink[r] * sum[r] + added;
      largest[r] = highest;
    }
    if (dv > 0) {
#pragma unroll
      for (int r = 0; r < Math::kRows; ++r)
#pragma unroll
        for (int c = 0; c < Math::kColumns; ++c)
          shared.weights[Math::row(r) * kStride + Math::column(c)] = logits.at(r, c);
      __syncwarp();
      y.shrink(shrink);
      y.add(shared.weights, shared.other_values, dv);
    }
    __syncthreads();
  }
  T factors[Math::kRows];
#pragma unroll
  for (int r = 0; r < Math::kRows; ++r) {
    const int row = warp_row + Math::row(r);
    const T total = row_sum<Math>(sum[r]), all = row_sum<Math>(moment[r]), on_self = row_max<Math>(self[r]);
    const bool empty = total == 0;  // nothing seen in this split
    const T log_sum = empty ? hidden : largest[r] + log(total);
    factors[r] = empty ? T{0} : 1 / total;
    if (static_cast<int>(threadIdx.x) % Math::kRowLanes != 0 || row >= own.count) continue;
    *s.log_sum.at(out + row, own.head) = log_sum;
    if (s.entropy) *s.entropy.at(out + row, own.head) = empty ? T{0} : positive_part(log(total) - all / total);
    if (s.self) *s.self.at(out + row, own.head) = empty ? T{0} : exp(on_self - log_sum);
  }
  if (dv > 0) y.store(s.y, out, own.head, own.count, dv, factors);
}

/// What a gradient's pass needs of queries: log-sums, deltas and labels.
template <class Plan, class T = typename Plan::T>
__device__ void load_queries(const FlashGradient<T>& g, const Shared<Plan>& shared, Index first, int head, int count) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= kTile) return;
  const bool inside = i < count;
  shared.number(RowValue::log_sum, i) = inside ? *g.log_sum.at(first + i, head) : T{0};
  shared.number(RowValue::delta, i) = inside ? *g.delta.at(first + i, head) : T{0};
  shared.number(RowValue::label, i) = inside && g.label != nullptr ? static_cast<T>(g.label[first + i]) : T{-1};
}

/// The gradient of a block's own rows: queries (dq and row sums), or ByKeys keys (dk, dv, dbias).
template <class Plan, bool ByKeys, class T = typename Plan::T>
__global__ void __launch_bounds__(kThreads) gradient_kernel(FlashAttention<T> s, FlashGradient<T> g, Index split) {
  detail::pdl_begin();
  using Math = typename Plan::Math;
  extern __shared__ __align__(16) unsigned char memory[];
  const Shared<Plan> shared(memory, true);
  const Visibility& sight = s.sight;
  const Block own(ByKeys ? sight.keys : sight.queries, s.heads, !ByKeys);
  const int d = static_cast<int>(s.key_width), dv = static_cast<int>(s.value_width);
  const Index queries_at = own.sequence * sight.queries, keys_at = own.sequence * sight.key_rows;
  const Index first = (ByKeys ? keys_at : queries_at) + own.begin, out = first + blockIdx.y * split;
  const HeadRows<const T>&own_rows = ByKeys ? s.k : s.q, &own_values = ByKeys ? s.v : g.dy;
  const HeadRows<const T>&other_rows = ByKeys ? s.q : s.k, &other_values = ByKeys ? g.dy : s.v;
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  load_rows<Plan, Plan::kKeyPanels>(own_rows.at(first, own.head), own_rows.stride, own.count, d, shared.own);
  if (dv > 0)
    load_rows<Plan, Plan::kValuePanels>(own_values.at(first, own.head), own_values.stride, own.count, dv,
                                        shared.own_values);
  if (!ByKeys) load_queries<Plan>(g, shared, first, own.head, own.count);
  if (ByKeys && s.bias && static_cast<int>(threadIdx.x) < own.count)
    shared.number(RowValue::bias, threadIdx.x) = *s.bias.at(first + threadIdx.x, own.head);

  Sums<Plan, Plan::kKeys> of_rows;
  Sums<Plan, Plan::kValues> of_values;
  T total[Math::kRows] = {};
  const int others = static_cast<int>(ByKeys ? sight.queries : sight.keys_until(own.begin + own.count));
  const Slice slice(ByKeys ? static_cast<int>(sight.first_query(own.begin)) / kTile : 0, tiles_of(others));
  for (int tile = slice.begin; tile < slice.end; ++tile) {
    const int begin = tile * kTile, count = min(kTile, others - begin);
    const Index from = (ByKeys ? queries_at : keys_at) + begin;
    load_rows<Plan, Plan::kKeyPanels>(other_rows.at(from, own.head), other_rows.stride, count, d, shared.others);
    if (dv > 0)
      load_rows<Plan, Plan::kValuePanels>(other_values.at(from, own.head), other_values.stride, count, dv,
                                          shared.other_values);
    if (ByKeys) load_queries<Plan>(g, shared, from, own.head, count);
    if (!ByKeys && s.bias && static_cast<int>(threadIdx.x) < count)
      shared.number(RowValue::bias, threadIdx.x) = *s.bias.at(from + threadIdx.x, own.head);
    await_rows();
    Math products, inner;
    multiply_rows<Plan, Plan::kKeyPanels>(products, shared.own, shared.others, d);
    if (dv > 0) multiply_rows<Plan, Plan::kValuePanels>(inner, shared.own_values, shared.other_values, dv);
    const bool whole = count == kTile && own.count == kTile &&
                       sight.open(ByKeys ? begin : own.begin, ByKeys ? own.begin + kTile : begin + kTile);
#pragma unroll
    for (int r = 0; r < Math::kRows; ++r) {
      const int row = warp_row + Math::row(r);
#pragma unroll
      for (int c = 0; c < Math::kColumns; ++c) {
        const int column = Math::column(c), query = ByKeys ? column : row;
        const T bias = s.bias ? shared.number(RowValue::bias, ByKeys ? row : column) : T{0};
        products.at(r, c) =
            exponential<Math>(products.at(r, c) * s.scale + bias - shared.number(RowValue::log_sum, query));
      }
      if (!whole) {
#pragma unroll
        for (int c = 0; c < Math::kColumns; ++c) {
          const int column = Math::column(c), query = ByKeys ? column : row, key = ByKeys ? row : column;
          const bool seen =
              row < own.count && column < count &&
              sight.sees(own.sequence, query + (ByKeys ? begin : own.begin), key + (ByKeys ? own.begin : begin));
          if (!seen) products.at(r, c) = 0;
        }
      }
#pragma unroll
      for (int c = 0; c < Math::kColumns; ++c)
        inner.at(r, c) =
            products.at(r, c) * (inner.at(r, c) - shared.number(RowValue::delta, ByKeys ? Math::column(c) : row));
      if (g.label != nullptr) {
#pragma unroll
        for (int c = 0; c < Math::kColumns; ++c) {
          const int column = Math::column(c), query = ByKeys ? column : row;
          const int key = ByKeys ? row + own.begin : column + begin;
          if (shared.number(RowValue::label, query) == static_cast<T>(key))
            inner.at(r, c) += shared.number(RowValue::delta, query);
        }
      }
#pragma unroll
      for (int c = 0; c < Math::kColumns; ++c) total[r] += inner.at(r, c);
    }
    const auto put = [&](Math& tile_part) {
#pragma unroll
      for (int r = 0; r < Math::kRows; ++r)
#pragma unroll
        for (int c = 0; c < Math::kColumns; ++c)
          shared.weights[Math::row(r) * kStride + Math::column(c)] = tile_part.at(r, c);
      __syncwarp();
    };
    if (ByKeys && g.dv) {
      put(products);
      of_values.add(shared.weights, shared.other_values, dv);
      __syncwarp();
    }
    if (ByKeys ? static_cast<bool>(g.dk) : static_cast<bool>(g.dq)) {
      put(inner);
      of_rows.add(shared.weights, shared.others, d);
    }
    __syncthreads();
  }
  T scales[Math::kRows], ones[Math::kRows];
#pragma unroll
  for (int r = 0; r < Math::kRows; ++r) scales[r] = s.scale, ones[r] = 1;
  const HeadSlot<T>& slot = ByKeys ? g.dk : g.dq;
  if (slot) of_rows.store(slot, out, own.head, own.count, d, scales);
  if (ByKeys && g.dv) of_values.store(g.dv, out, own.head, own.count, dv, ones);
  const HeadRows<T>& sums = ByKeys ? static_cast<const HeadRows<T>&>(g.dbias) : g.row_sum;
  if (!sums) return;
#pragma unroll
  for (int r = 0; r < Math::kRows; ++r) {
    const int row = warp_row + Math::row(r);
    const T sum = row_sum<Math>(total[r]);
    if (static_cast<int>(threadIdx.x) % Math::kRowLanes == 0 && row < own.count) *sums.at(out + row, own.head) = sum;
  }
}

}  // namespace neuroinhib::ops::flash
