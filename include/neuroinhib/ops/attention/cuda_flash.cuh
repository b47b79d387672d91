#pragma once

#include <algorithm>
#include <cmath>

#include <neuroinhib/ops/attention/flash.hpp>
#include <neuroinhib/ops/gemm/cuda.cuh>

/// The kernels of flash attention whose rows are at most kWidest wide. A block has 64 rows of its own, 16 a warp, and
/// goes over the others 64 at a time: what a warp needs of a tile of weights is in its own registers and its own part
/// of shared memory. A forward pass; a pass over queries for dq, one over keys for dk, dv and dbias: no sum is shared
/// between blocks.
///
///                 others, 64 a tile ──▶
///               ┌─────┬─────┬─────┬──
///   own: warp 0 │     │     │     │      a warp multiplies its 16 rows by a tile's 64, makes weights of the products
///        warp 1 │     │     │     │      in its registers, and adds weights · values to its results
///        warp 2 │     │     │     │
///        warp 3 │     │     │     │      blocks of one row of tiles, where few are to keep the device busy, take a
///               └─────┴─────┴─────┴──    slice of the tiles each, and leave results to be joined
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

/// Keeps this warp's part of a tile where the next product reads it as its left factor.
template <class T, class Math>
__device__ __forceinline__ void put_weights(T* weights, Math& tile) {
#pragma unroll
  for (int r = 0; r < Math::kRows; ++r)
#pragma unroll
    for (int c = 0; c < Math::kColumns; ++c) weights[Math::row(r) * kStride + Math::column(c)] = tile.at(r, c);
  __syncwarp();
}

/// What an online softmax knows of this thread's rows: the largest logit so far and, of this thread's columns, Σ exp
/// and Σ exp · distance, a logit's distance being that from the largest.
template <class Math>
struct OnlineSoftmax {
  using T = typename Math::Scalar;
  static constexpr T kHidden = static_cast<T>(-INFINITY);
  T largest[Math::kRows], sum[Math::kRows], moment[Math::kRows];

  __device__ __forceinline__ void start() {
#pragma unroll
    for (int r = 0; r < Math::kRows; ++r) largest[r] = kHidden, sum[r] = moment[r] = 0;
  }
  /// Takes up row r's logits of a tile and leaves their exponentials. Returns what sums so far are to be multiplied by.
  __device__ __forceinline__ T add(Math& logits, int r) {
    T highest = largest[r];
#pragma unroll
    for (int c = 0; c < Math::kColumns; ++c) highest = max(highest, logits.at(r, c));
    highest = row_max<Math>(highest);
    const T base = highest == kHidden ? T{0} : highest;  // nothing seen yet: all weights are zero
    T added = 0, moved = 0;
#pragma unroll
    for (int c = 0; c < Math::kColumns; ++c) {
      T& logit = logits.at(r, c);
      const T distance = logit - base, weight = exponential<Math>(distance);
      added += weight;
      moved += weight > 0 ? weight * distance : T{0};
      logit = weight;
    }
    const T shrink = largest[r] == kHidden ? T{0} : exponential<Math>(largest[r] - base);
    if (largest[r] != kHidden) moment[r] = shrink * (moment[r] + (largest[r] - base) * sum[r]);
    moment[r] += moved;
    sum[r] = shrink * sum[r] + added;
    largest[r] = highest;
    return shrink;
  }

  /// A row's results, of all its columns.
  struct Row {
    T largest, total, moment;

    /// Nothing was seen.
    __device__ bool empty() const { return total == 0; }
    __device__ T log_sum() const { return empty() ? kHidden : largest + log(total); }
    __device__ T normaliser() const { return empty() ? T{0} : 1 / total; }
    __device__ T entropy() const { return empty() ? T{0} : positive_part(log(total) - moment / total); }
  };
  __device__ __forceinline__ Row finish(int r) const {
    const T total = row_sum<Math>(sum[r]), all = row_sum<Math>(moment[r]);
    return {largest[r], total, all};
  }
};

/// Starts bringing a side's rows and values: queries with dy, or keys with values.
template <class Plan, class T = typename Plan::T>
__device__ __forceinline__ void load_side(const HeadRows<const T>& rows, const HeadRows<const T>& values, Index first,
                                          int head, int count, int d, int dv, T* rows_in_shared, T* values_in_shared) {
  load_rows<Plan, Plan::kKeyPanels>(rows.at(first, head), rows.stride, count, d, rows_in_shared);
  if (dv > 0) load_rows<Plan, Plan::kValuePanels>(values.at(first, head), values.stride, count, dv, values_in_shared);
}
template <class Plan, class T = typename Plan::T>
__device__ __forceinline__ void load_biases(const FlashAttention<T>& s, const Shared<Plan>& shared, Index first,
                                            int head, int count) {
  if (s.bias && static_cast<int>(threadIdx.x) < count)
    shared.number(RowValue::bias, threadIdx.x) = *s.bias.at(first + threadIdx.x, head);
}

/// The others of one tile, [begin, begin + count), which a block's own rows meet.
struct Tile {
  int begin, count;
};

/// Row r's logits, of products of queries and keys; −∞ where a key is hidden. self: the token's own, if it is there.
template <class Plan, class T = typename Plan::T>
__device__ __forceinline__ void make_logits(typename Plan::Math& products, int r, int warp_row,
                                            const FlashAttention<T>& s, const Block& own, const Tile& keys, bool whole,
                                            const Shared<Plan>& shared, T& self) {
  using Math = typename Plan::Math;
  const int row = warp_row + Math::row(r), position = static_cast<int>(s.sight.past) + own.begin + row - keys.begin;
#pragma unroll
  for (int c = 0; c < Math::kColumns; ++c) products.at(r, c) *= s.scale;
  if (s.bias) {
#pragma unroll
    for (int c = 0; c < Math::kColumns; ++c) products.at(r, c) += shared.number(RowValue::bias, Math::column(c));
  }
  if (!whole) {
#pragma unroll
    for (int c = 0; c < Math::kColumns; ++c) {
      const int n = Math::column(c);
      const bool seen =
          n < keys.count && (row >= own.count || s.sight.sees(own.sequence, own.begin + row, keys.begin + n));
      if (!seen) products.at(r, c) = OnlineSoftmax<Math>::kHidden;
    }
  }
  if (s.self && position >= 0 && position < kTile) {
#pragma unroll
    for (int c = 0; c < Math::kColumns; ++c)
      if (Math::column(c) == position) self = products.at(r, c);
  }
}

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
  load_rows<Plan, Plan::kKeyPanels>(s.q.at(first_query, own.head), s.q.stride, own.count, d, shared.own);

  OnlineSoftmax<Math> softmax;
  softmax.start();
  T self[Math::kRows];
#pragma unroll
  for (int r = 0; r < Math::kRows; ++r) self[r] = OnlineSoftmax<Math>::kHidden;
  Sums<Plan, Plan::kValues> y;
  const Slice slice(0, tiles_of(end));
  for (int tile = slice.begin; tile < slice.end; ++tile) {
    const Tile keys{tile * kTile, min(kTile, end - tile * kTile)};
    load_side<Plan>(s.k, s.v, first_key + keys.begin, own.head, keys.count, d, dv, shared.others, shared.other_values);
    load_biases<Plan>(s, shared, first_key + keys.begin, own.head, keys.count);
    await_rows();
    Math products;
    multiply_rows<Plan, Plan::kKeyPanels>(products, shared.own, shared.others, d);
    const bool whole = keys.count == kTile && own.count == kTile && s.sight.open(own.begin, keys.begin + keys.count);
    T shrink[Math::kRows];
#pragma unroll
    for (int r = 0; r < Math::kRows; ++r) {
      make_logits<Plan>(products, r, warp_row, s, own, keys, whole, shared, self[r]);
      shrink[r] = softmax.add(products, r);
    }
    if (dv > 0) {
      put_weights(shared.weights, products);
      y.shrink(shrink);
      y.add(shared.weights, shared.other_values, dv);
    }
    __syncthreads();
  }
  T factors[Math::kRows];
#pragma unroll
  for (int r = 0; r < Math::kRows; ++r) {
    const int row = warp_row + Math::row(r);
    const auto result = softmax.finish(r);
    const T on_self = row_max<Math>(self[r]), log_sum = result.log_sum();
    factors[r] = result.normaliser();
    if (static_cast<int>(threadIdx.x) % Math::kRowLanes != 0 || row >= own.count) continue;
    *s.log_sum.at(out + row, own.head) = log_sum;
    if (s.entropy) *s.entropy.at(out + row, own.head) = result.entropy();
    if (s.self) *s.self.at(out + row, own.head) = result.empty() ? T{0} : exp(on_self - log_sum);
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

/// What is kept beside a side's rows: the numbers of queries, or the biases of keys.
template <class Plan, bool OfQueries, class T = typename Plan::T>
__device__ __forceinline__ void load_numbers(const FlashAttention<T>& s, const FlashGradient<T>& g,
                                             const Shared<Plan>& shared, Index first, int head, int count) {
  if (OfQueries)
    load_queries<Plan>(g, shared, first, head, count);
  else
    load_biases<Plan>(s, shared, first, head, count);
}

/// Which sides of the pairs a gradient's block has: rows of its own are queries (dq and row sums), or ByKeys keys (dk,
/// dv, dbias), and the others come in tiles.
template <class T, bool ByKeys>
struct Sides {
  const FlashAttention<T>& s;
  const FlashGradient<T>& g;
  Block own;
  Index queries_at, keys_at;  ///< the first rows of the sequence

  __device__ Sides(const FlashAttention<T>& attention, const FlashGradient<T>& gradient)
      : s(attention),
        g(gradient),
        own(ByKeys ? s.sight.keys : s.sight.queries, s.heads, !ByKeys),
        queries_at(own.sequence * s.sight.queries),
        keys_at(own.sequence * s.sight.key_rows) {}

  __device__ const HeadRows<const T>& own_rows() const { return ByKeys ? s.k : s.q; }
  __device__ const HeadRows<const T>& own_values() const { return ByKeys ? s.v : g.dy; }
  __device__ const HeadRows<const T>& other_rows() const { return ByKeys ? s.q : s.k; }
  __device__ const HeadRows<const T>& other_values() const { return ByKeys ? g.dy : s.v; }
  /// Where sums over the others go: of pairs times rows, of pairs times values, and of pairs alone.
  __device__ const HeadSlot<T>& of_rows() const { return ByKeys ? g.dk : g.dq; }
  __device__ bool has_values() const { return ByKeys && g.dv; }
  __device__ const HeadRows<T>& of_pairs() const {
    return ByKeys ? static_cast<const HeadRows<T>&>(g.dbias) : g.row_sum;
  }
  /// The others that the block's rows see, or that see them: from this tile on, and before this one.
  __device__ int first_tile() const { return ByKeys ? static_cast<int>(s.sight.first_query(own.begin)) / kTile : 0; }
  __device__ int others_until() const {
    return static_cast<int>(ByKeys ? s.sight.queries : s.sight.keys_until(own.begin + own.count));
  }
  __device__ Index own_at() const { return (ByKeys ? keys_at : queries_at) + own.begin; }
  __device__ Index others_at() const { return ByKeys ? queries_at : keys_at; }
  /// Of the pairs of the block and the others from `begin` on: the first query and the first key; of the pair at a row
  /// and a column, its query and its key, counted from those.
  __device__ int first_query(int begin) const { return ByKeys ? begin : own.begin; }
  __device__ int first_key(int begin) const { return ByKeys ? own.begin : begin; }
  __device__ static int query(int row, int column) { return ByKeys ? column : row; }
  __device__ static int key(int row, int column) { return ByKeys ? row : column; }
};

/// Row r of P, of products of queries and keys; 0 where a pair is hidden.
template <class Plan, bool ByKeys, class T = typename Plan::T>
__device__ __forceinline__ void make_weights(typename Plan::Math& products, int r, int warp_row,
                                             const Sides<T, ByKeys>& sides, const Tile& tile, bool whole,
                                             const Shared<Plan>& shared) {
  using Math = typename Plan::Math;
  const FlashAttention<T>& s = sides.s;
  const int row = warp_row + Math::row(r);
#pragma unroll
  for (int c = 0; c < Math::kColumns; ++c) {
    const int column = Math::column(c), query = sides.query(row, column);
    const T bias = s.bias ? shared.number(RowValue::bias, sides.key(row, column)) : T{0};
    products.at(r, c) = exponential<Math>(products.at(r, c) * s.scale + bias - shared.number(RowValue::log_sum, query));
  }
  if (whole) return;
#pragma unroll
  for (int c = 0; c < Math::kColumns; ++c) {
    const int column = Math::column(c);
    const bool seen = row < sides.own.count && column < tile.count &&
                      s.sight.sees(sides.own.sequence, sides.query(row, column) + sides.first_query(tile.begin),
                                   sides.key(row, column) + sides.first_key(tile.begin));
    if (!seen) products.at(r, c) = 0;
  }
}

/// Row r of dS, of P and ⟨dy, v⟩; total += its sum over this thread's columns.
template <class Plan, bool ByKeys, class T = typename Plan::T>
__device__ __forceinline__ void make_slopes(typename Plan::Math& inner, typename Plan::Math& weights, int r,
                                            int warp_row, const Sides<T, ByKeys>& sides, const Tile& tile,
                                            const Shared<Plan>& shared, T& total) {
  using Math = typename Plan::Math;
  const int row = warp_row + Math::row(r);
#pragma unroll
  for (int c = 0; c < Math::kColumns; ++c)
    inner.at(r, c) =
        weights.at(r, c) * (inner.at(r, c) - shared.number(RowValue::delta, sides.query(row, Math::column(c))));
  if (sides.g.label != nullptr) {
#pragma unroll
    for (int c = 0; c < Math::kColumns; ++c) {
      const int column = Math::column(c), query = sides.query(row, column);
      const int key = sides.key(row, column) + sides.first_key(tile.begin);
      if (shared.number(RowValue::label, query) == static_cast<T>(key))
        inner.at(r, c) += shared.number(RowValue::delta, query);
    }
  }
#pragma unroll
  for (int c = 0; c < Math::kColumns; ++c) total += inner.at(r, c);
}

/// sums.at(first + row, head) = the total over all columns of this warp's rows.
template <class Math, class T = typename Math::Scalar>
__device__ __forceinline__ void store_sums(const T (&totals)[Math::kRows], const HeadRows<T>& sums, Index first,
                                           const Block& own) {
#pragma unroll
  for (int r = 0; r < Math::kRows; ++r) {
    const int row = static_cast<int>(threadIdx.x) / 32 * kWarpRows + Math::row(r);
    const T sum = row_sum<Math>(totals[r]);
    if (static_cast<int>(threadIdx.x) % Math::kRowLanes == 0 && row < own.count) *sums.at(first + row, own.head) = sum;
  }
}

/// The gradient of a block's own rows.
template <class Plan, bool ByKeys, class T = typename Plan::T>
__global__ void __launch_bounds__(kThreads) gradient_kernel(FlashAttention<T> s, FlashGradient<T> g, Index split) {
  detail::pdl_begin();
  using Math = typename Plan::Math;
  extern __shared__ __align__(16) unsigned char memory[];
  const Shared<Plan> shared(memory, true);
  const Sides<T, ByKeys> sides(s, g);
  const Block& own = sides.own;
  const int d = static_cast<int>(s.key_width), dv = static_cast<int>(s.value_width);
  const Index first = sides.own_at(), out = first + blockIdx.y * split;
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  load_side<Plan>(sides.own_rows(), sides.own_values(), first, own.head, own.count, d, dv, shared.own,
                  shared.own_values);
  load_numbers<Plan, !ByKeys>(s, g, shared, first, own.head, own.count);

  Sums<Plan, Plan::kKeys> of_rows;
  Sums<Plan, Plan::kValues> of_values;
  T total[Math::kRows] = {};
  const int others = sides.others_until();
  const Slice slice(sides.first_tile(), tiles_of(others));
  for (int number = slice.begin; number < slice.end; ++number) {
    const Tile tile{number * kTile, min(kTile, others - number * kTile)};
    const Index from = sides.others_at() + tile.begin;
    load_side<Plan>(sides.other_rows(), sides.other_values(), from, own.head, tile.count, d, dv, shared.others,
                    shared.other_values);
    load_numbers<Plan, ByKeys>(s, g, shared, from, own.head, tile.count);
    await_rows();
    Math weights, slopes;
    multiply_rows<Plan, Plan::kKeyPanels>(weights, shared.own, shared.others, d);
    if (dv > 0) multiply_rows<Plan, Plan::kValuePanels>(slopes, shared.own_values, shared.other_values, dv);
    const bool whole = tile.count == kTile && own.count == kTile &&
                       s.sight.open(sides.first_query(tile.begin), sides.first_key(tile.begin) + kTile);
#pragma unroll
    for (int r = 0; r < Math::kRows; ++r) {
      make_weights<Plan>(weights, r, warp_row, sides, tile, whole, shared);
      make_slopes<Plan>(slopes, weights, r, warp_row, sides, tile, shared, total[r]);
    }
    if (sides.has_values()) {
      put_weights(shared.weights, weights);
      of_values.add(shared.weights, shared.other_values, dv);
      __syncwarp();
    }
    if (sides.of_rows()) {
      put_weights(shared.weights, slopes);
      of_rows.add(shared.weights, shared.others, d);
    }
    __syncthreads();
  }
  T scales[Math::kRows], ones[Math::kRows];
#pragma unroll
  for (int r = 0; r < Math::kRows; ++r) scales[r] = s.scale, ones[r] = 1;
  if (sides.of_rows()) of_rows.store(sides.of_rows(), out, own.head, own.count, d, scales);
  if (sides.has_values()) of_values.store(g.dv, out, own.head, own.count, dv, ones);
  if (sides.of_pairs()) store_sums<Math>(total, sides.of_pairs(), out, own);
}

}  // namespace neuroinhib::ops::flash
