#pragma once

#include <algorithm>
#include <cmath>

#include <neuroinhib/ops/attention/stream.hpp>
#include <neuroinhib/ops/product/cuda.cuh>

/// The kernels of a stream: tiles of 64 queries and 64 keys, whose products are those of ops/product, in shared memory.
/// A forward pass; a pass over queries for dq, one over keys for dk, dv and dbias: no sum is shared between blocks.
namespace neuroinhib::ops::stream {

inline constexpr int kTile = 64, kDepth = 32, kThreads = 128, kStride = kTile + 4;

/// In which numbers tiles are multiplied, and how many travel together.
template <class MathType, int VectorSize>
struct Plan {
  using Math = MathType;
  using T = typename Math::Scalar;
  static constexpr int kVector = VectorSize;
  using RowPanel = product::Panel<T, true, kTile, kDepth, kThreads, kVector, Math::layout(true, kVector)>;
  using ColumnPanel = product::Panel<T, false, kTile, kDepth, kThreads, kVector, product::Layout::padded>;
  static constexpr int kPanel = std::max(RowPanel::kSize, ColumnPanel::kSize), kPanels = 4;
  /// Panels, the tile of weights and that of slopes, and four numbers a row.
  static constexpr std::size_t kSharedBytes = sizeof(T) * (kPanels * kPanel + 2 * kTile * kStride + 4 * kTile);
  static_assert(Math::kWarpM == 32 && Math::kWarpN == 32 && kThreads == 4 * 32);
};

/// A tile in shared memory as a product's left factor, its rows or its columns being the result's rows.
template <bool Transposed>
struct TileFactor {
  static constexpr product::Layout kLayout = product::Layout::padded;
  __device__ static int at(int line, int depth) { return Transposed ? depth * kStride + line : line * kStride + depth; }
};

/// What one block works on.
template <class T>
struct Block {
  int sequence, head, tile;  ///< tile of queries, or of keys
  int m0, n0;                ///< where this thread's warp's part of a tile begins

  __device__ Block(const Stream<T>& s, int tiles, bool last_first) {
    const int number = static_cast<int>(blockIdx.x), heads = static_cast<int>(s.heads), rest = number / tiles;
    tile = last_first ? tiles - 1 - number % tiles : number % tiles;
    head = rest % heads;
    sequence = rest / heads;
    m0 = static_cast<int>(threadIdx.x) / 64 * 32;
    n0 = static_cast<int>(threadIdx.x) / 32 % 2 * 32;
  }
};

/// Shared memory of one block.
template <class Plan>
struct Shared {
  using T = typename Plan::T;
  T *panels, *weights, *slopes;
  T* rows;  ///< four numbers a row

  __device__ explicit Shared(unsigned char* memory)
      : panels(reinterpret_cast<T*>(memory)),
        weights(panels + Plan::kPanels * Plan::kPanel),
        slopes(weights + kTile * kStride),
        rows(slopes + kTile * kStride) {}
  __device__ T& row(int kind, int m) const { return rows[kind * kTile + m]; }
};

/// sums += a bᵀ for `rows` rows of a and `columns` rows of b, each `depth` long.
template <class Plan, class T = typename Plan::T>
__device__ void multiply_rows(typename Plan::Math& sums, const T* a, Index a_stride, int rows, const T* b,
                              Index b_stride, int columns, int depth, const Shared<Plan>& own, const Block<T>& block) {
  using Panel = typename Plan::RowPanel;
  const auto fa = product::factor<true>(a, 0, product::Line{a_stride}, product::Line{1});
  const auto fb = product::factor<true>(b, 0, product::Line{b_stride}, product::Line{1});
  using FactorOf = std::remove_const_t<decltype(fa)>;
  typename Panel::template Reader<FactorOf> read_a(fa, 0, 0, rows), read_b(fb, 0, 0, columns);
  const int steps = (depth + kDepth - 1) / kDepth;
  const auto load = [&](int step) {
    if (step < steps) {
      T* panel = own.panels + step % 2 * 2 * Plan::kPanel;
      read_a.load(fa, panel, step * kDepth, depth);
      read_b.load(fb, panel + Plan::kPanel, step * kDepth, depth);
    }
    product::commit_copies();
  };
  load(0);
  for (int step = 0; step < steps; ++step) {
    product::wait_copies<0>();
    __syncthreads();  // this step's panels are there, and those of the step before have been read
    load(step + 1);
    const T* panel = own.panels + step % 2 * 2 * Plan::kPanel;
    sums.template multiply<Panel, Panel, kDepth>(panel, panel + Plan::kPanel, block.m0, block.n0);
  }
  __syncthreads();
}

/// sums += tile · rows, or tileᵀ · rows, for columns [begin, end) of `count` rows in memory.
template <class Plan, bool Transposed, class T = typename Plan::T>
__device__ void multiply_tile(typename Plan::Math& sums, const T* tile, const T* rows, Index stride, int count,
                              int begin, int end, const Shared<Plan>& own, const Block<T>& block) {
  using Panel = typename Plan::ColumnPanel;
  using Tile = TileFactor<Transposed>;
  const auto f = product::factor<false>(rows, 0, product::Line{stride}, product::Line{1});
  typename Panel::template Reader<std::remove_const_t<decltype(f)>> read(f, 0, begin, end);
#pragma unroll
  for (int half = 0; half < kTile / kDepth; ++half)
    read.load(f, own.panels + half * Plan::kPanel, half * kDepth, count);
  product::commit_copies();
  product::wait_copies<0>();
  __syncthreads();
#pragma unroll
  for (int half = 0; half < kTile / kDepth; ++half)
    sums.template multiply<Tile, Panel, kDepth>(tile + Tile::at(0, half * kDepth), own.panels + half * Plan::kPanel,
                                                block.m0, block.n0);
  __syncthreads();
}

/// Results of one pass over tiles, 64 columns at a time: `Held` of those in registers, or all in memory (0), where they
/// are found again for each tile.
template <class Plan, int Held>
struct Sums {
  using T = typename Plan::T;
  typename Plan::Math held[Held > 0 ? Held : 1];

  /// += tile · rows; target(m, column) is where results will be, `shrink(m)` what those so far are multiplied by.
  template <bool Transposed, class Target, class Shrink>
  __device__ void add(const T* tile, const T* rows, Index stride, int count, int width, bool first,
                      const Target& target, const Shrink& shrink, const Shared<Plan>& own, const Block<T>& block) {
    if constexpr (Held > 0) {
#pragma unroll
      for (int chunk = 0; chunk < Held; ++chunk) {
        if (chunk * kTile >= width) break;
        held[chunk].each([&](int m, int, T& sum) { sum *= shrink(block.m0 + m); });
        multiply_tile<Plan, Transposed>(held[chunk], tile, rows, stride, count, chunk * kTile, width, own, block);
      }
    } else {
      for (int begin = 0; begin < width; begin += kTile) {
        typename Plan::Math part;
        multiply_tile<Plan, Transposed>(part, tile, rows, stride, count, begin, width, own, block);
        part.each([&](int m, int n, T sum) {
          if (T* at = target(block.m0 + m, begin + block.n0 + n)) *at = first ? sum : *at * shrink(block.m0 + m) + sum;
        });
      }
    }
  }
  /// finish(value, m) for each result, where it belongs.
  template <class Target, class Finish>
  __device__ void store(int width, const Target& target, const Finish& finish, const Block<T>& block) {
    if constexpr (Held > 0) {
#pragma unroll
      for (int chunk = 0; chunk < Held; ++chunk)
        held[chunk].each([&](int m, int n, T sum) {
          if (T* at = target(block.m0 + m, chunk * kTile + block.n0 + n)) *at = finish(sum, block.m0 + m);
        });
    } else {
      for (int i = static_cast<int>(threadIdx.x); i < kTile * width; i += kThreads)
        if (T* at = target(i / width, i % width)) *at = finish(*at, i / width);
    }
  }
};

template <class Plan, class T = typename Plan::T>
__device__ T exponential(T x) {
  if constexpr (std::is_same_v<typename Plan::Math, product::MultiplyAdd<T>>)
    return exp(x);
  else
    return __expf(x);
}

/// A product of a query and a key as a logit; −∞ where the query does not see the key. Biases of the tile's keys are in
/// `biases`, where there are any.
template <class T>
struct Logit {
  const Visibility& sight;
  const T* biases;
  T scale;
  int sequence, q, k, queries, keys;
  bool whole;  ///< every query of the tile sees every key

  __device__ Logit(const Stream<T>& s, const Block<T>& block, int first_query, int first_key, int query_count,
                   int key_count, const T* of_keys)
      : sight(s.sight),
        biases(s.bias ? of_keys : nullptr),
        scale(s.scale),
        sequence(block.sequence),
        q(first_query),
        k(first_key),
        queries(query_count),
        keys(key_count),
        whole(query_count == kTile && key_count == kTile && s.sight.open(first_query, first_key + key_count)) {}
  __device__ T operator()(int m, int n, T product) const {
    if (!whole && (m >= queries || n >= keys || !sight.sees(sequence, q + m, k + n))) return static_cast<T>(-INFINITY);
    return biases != nullptr ? product * scale + biases[n] : product * scale;
  }
};

/// The biases of a tile's keys, for Logit; they are there after the next synchronisation.
template <class Plan, class T = typename Plan::T>
__device__ void load_biases(const Stream<T>& s, const Block<T>& block, int k, int keys, const Shared<Plan>& own) {
  const int n = static_cast<int>(threadIdx.x);
  if (s.bias && n < keys) own.row(3, n) = *s.bias.at(block.sequence * s.sight.key_rows + k + n, block.head);
}

/// This block's share of a pass's tiles.
struct Slice {
  int begin, end;
  __device__ Slice(int first, int tiles) {
    const int splits = static_cast<int>(gridDim.y), each = (tiles - first + splits - 1) / splits;
    begin = first + each * static_cast<int>(blockIdx.y);
    end = min(tiles, begin + each);
  }
};

[[nodiscard]] __host__ __device__ constexpr int tiles_of(Index extent) {
  return static_cast<int>((extent + kTile - 1) / kTile);
}

/// y, log-sum, entropy and weight on itself, of all keys or of each split's: then `split` rows apart.
template <class Plan, int Held, class T = typename Plan::T>
__global__ void __launch_bounds__(kThreads) forward_kernel(Stream<T> s, Index split) {
  detail::take_turn();
  extern __shared__ __align__(16) unsigned char memory[];
  const Shared<Plan> own(memory);
  const Block<T> block(s, tiles_of(s.sight.queries), true);
  const int q = block.tile * kTile, queries = min(kTile, static_cast<int>(s.sight.queries) - q);
  const Index first_query = block.sequence * s.sight.queries + q, first_key = block.sequence * s.sight.key_rows;
  const int end = static_cast<int>(s.sight.keys_until(q + queries));
  const int d = static_cast<int>(s.key_width), dv = static_cast<int>(s.value_width);
  const int row = static_cast<int>(threadIdx.x) / 2, part = static_cast<int>(threadIdx.x) % 2;
  const Index out = first_query + blockIdx.y * split;
  const auto target = [&](int m, int c) -> T* {
    return m < queries && c < dv ? s.y.at(out + m, block.head) + c : nullptr;
  };
  const T hidden = static_cast<T>(-INFINITY);
  T largest = hidden, sum = 0, moment = 0, self = hidden;
  Sums<Plan, Held> y;
  const Slice slice(0, tiles_of(end));
  for (int tile = slice.begin; tile < slice.end; ++tile) {
    const int k = tile * kTile, keys = min(kTile, end - k);
    typename Plan::Math products;
    load_biases<Plan>(s, block, k, keys, own);
    multiply_rows<Plan>(products, s.q.at(first_query, block.head), s.q.stride, queries,
                        s.k.at(first_key + k, block.head), s.k.stride, keys, d, own, block);
    const Logit<T> logit(s, block, q, k, queries, keys, &own.row(3, 0));
    products.each([&](int m, int n, T product) {
      own.weights[(block.m0 + m) * kStride + block.n0 + n] = logit(block.m0 + m, block.n0 + n, product);
    });
    __syncthreads();
    T* weights = own.weights + row * kStride;
    const int position = static_cast<int>(s.sight.past) + q + row - k;
    if (position >= 0 && position < kTile) self = weights[position];
    T highest = largest;
    for (int n = part; n < kTile; n += 2) highest = max(highest, weights[n]);
    highest = max(highest, __shfl_xor_sync(0xffffffffu, highest, 1));
    __syncwarp();
    T added = 0, moved = 0;
    for (int n = part; n < kTile; n += 2) {
      const T distance = weights[n] - highest;
      const bool seen = weights[n] != hidden;
      const T weight = seen ? exponential<Plan>(distance) : T{0};
      added += weight;
      if (seen) moved += weight * distance;
      weights[n] = weight;
    }
    added += __shfl_xor_sync(0xffffffffu, added, 1);
    moved += __shfl_xor_sync(0xffffffffu, moved, 1);
    const T shrink = largest == hidden ? T{0} : exponential<Plan>(largest - highest);
    if (largest != hidden) moment = shrink * (moment + (largest - highest) * sum);
    moment += moved;
    sum = shrink * sum + added;
    largest = highest;
    if (part == 0) own.row(0, row) = shrink;
    __syncthreads();
    if (dv > 0)
      y.template add<false>(
          own.weights, s.v.at(first_key + k, block.head), s.v.stride, keys, dv, tile == slice.begin, target,
          [&](int m) { return own.row(0, m); }, own, block);
  }
  const T log_sum = sum > 0 ? largest + log(sum) : hidden;
  if (part == 0) {
    own.row(1, row) = sum > 0 ? 1 / sum : T{0};
    if (row < queries) {
      *s.log_sum.at(out + row, block.head) = log_sum;
      if (s.entropy) *s.entropy.at(out + row, block.head) = sum > 0 ? max(T{0}, log(sum) - moment / sum) : T{0};
      if (s.self) *s.self.at(out + row, block.head) = sum > 0 && self != hidden ? exp(self - log_sum) : T{0};
    }
  }
  __syncthreads();
  if (dv > 0 && slice.begin < slice.end)
    y.store(
        dv, target, [&](T value, int m) { return value * own.row(1, m); }, block);
  else if (dv > 0)
    for (int i = static_cast<int>(threadIdx.x); i < kTile * dv; i += kThreads)
      if (T* at = target(i / dv, i % dv)) *at = 0;
}

/// What the gradient's passes need of each query of a tile.
template <class Plan, class T = typename Plan::T>
__device__ void load_rows(const StreamGradient<T>& g, const Block<T>& block, Index first_query, int queries,
                          const Shared<Plan>& own) {
  for (int m = static_cast<int>(threadIdx.x); m < kTile; m += kThreads) {
    const bool inside = m < queries;
    own.row(0, m) = inside ? *g.log_sum.at(first_query + m, block.head) : T{0};
    own.row(1, m) = inside ? *g.delta.at(first_query + m, block.head) : T{0};
    own.row(2, m) = inside && g.label != nullptr ? static_cast<T>(g.label[first_query + m]) : T{-1};
  }
}

/// dS of a tile into `slopes`, and P into `weights` where it is wanted.
template <class Plan, bool Weights, class T = typename Plan::T>
__device__ void slopes_of(const Stream<T>& s, const StreamGradient<T>& g, const Block<T>& block, int q, int queries,
                          int k, int keys, const Shared<Plan>& own) {
  const Index first_query = block.sequence * s.sight.queries + q, first_key = block.sequence * s.sight.key_rows + k;
  typename Plan::Math products, inner;
  load_biases<Plan>(s, block, k, keys, own);
  multiply_rows<Plan>(products, s.q.at(first_query, block.head), s.q.stride, queries, s.k.at(first_key, block.head),
                      s.k.stride, keys, static_cast<int>(s.key_width), own, block);
  if (s.value_width > 0)
    multiply_rows<Plan>(inner, g.dy.at(first_query, block.head), g.dy.stride, queries, s.v.at(first_key, block.head),
                        s.v.stride, keys, static_cast<int>(s.value_width), own, block);
  const Logit<T> logit(s, block, q, k, queries, keys, &own.row(3, 0));
  products.each(
      [&](int i, int j, T product, T of_values) {
        const int m = block.m0 + i, n = block.n0 + j;
        const T value = logit(m, n, product), delta = own.row(1, m);
        const T weight = value == static_cast<T>(-INFINITY) ? T{0} : exponential<Plan>(value - own.row(0, m));
        T slope = weight * (of_values - delta);
        if (own.row(2, m) == static_cast<T>(k + n)) slope += delta;
        own.slopes[m * kStride + n] = slope;
        if (Weights) own.weights[m * kStride + n] = weight;
      },
      inner);
  __syncthreads();
}

/// dq and the row sums of a tile of queries.
template <class Plan, int Held, class T = typename Plan::T>
__global__ void __launch_bounds__(kThreads) row_kernel(Stream<T> s, StreamGradient<T> g, Index split) {
  detail::take_turn();
  extern __shared__ __align__(16) unsigned char memory[];
  const Shared<Plan> own(memory);
  const Block<T> block(s, tiles_of(s.sight.queries), true);
  const int q = block.tile * kTile, queries = min(kTile, static_cast<int>(s.sight.queries) - q);
  const int d = static_cast<int>(s.key_width), end = static_cast<int>(s.sight.keys_until(q + queries));
  const Index first_query = block.sequence * s.sight.queries + q, out = first_query + blockIdx.y * split;
  const int row = static_cast<int>(threadIdx.x) / 2, part = static_cast<int>(threadIdx.x) % 2;
  const auto target = [&](int m, int c) -> T* {
    return g.dq && m < queries && c < d ? g.dq.at(out + m, block.head) + c : nullptr;
  };
  load_rows<Plan>(g, block, first_query, queries, own);
  Sums<Plan, Held> dq;
  T total = 0;
  const Slice slice(0, tiles_of(end));
  for (int tile = slice.begin; tile < slice.end; ++tile) {
    const int k = tile * kTile, keys = min(kTile, end - k);
    __syncthreads();
    slopes_of<Plan, false>(s, g, block, q, queries, k, keys, own);
    if (g.row_sum)
      for (int n = part; n < kTile; n += 2) total += own.slopes[row * kStride + n];
    dq.template add<false>(
        own.slopes, s.k.at(block.sequence * s.sight.key_rows + k, block.head), s.k.stride, keys, d, tile == slice.begin,
        target, [](int) { return T{1}; }, own, block);
  }
  total += __shfl_xor_sync(0xffffffffu, total, 1);
  if (g.row_sum && part == 0 && row < queries) *g.row_sum.at(out + row, block.head) = total;
  __syncthreads();
  const bool any = slice.begin < slice.end;
  dq.store(
      d, target, [&](T value, int) { return any ? s.scale * value : T{0}; }, block);
}

/// dk, dv and dbias of a tile of keys.
template <class Plan, int HeldKeys, int HeldValues, class T = typename Plan::T>
__global__ void __launch_bounds__(kThreads) column_kernel(Stream<T> s, StreamGradient<T> g, Index split) {
  detail::take_turn();
  extern __shared__ __align__(16) unsigned char memory[];
  const Shared<Plan> own(memory);
  const Block<T> block(s, tiles_of(s.sight.keys), false);
  const int k = block.tile * kTile, keys = min(kTile, static_cast<int>(s.sight.keys) - k);
  const int d = static_cast<int>(s.key_width), dv = static_cast<int>(s.value_width);
  const Index out = block.sequence * s.sight.key_rows + k + blockIdx.y * split;
  const int column = static_cast<int>(threadIdx.x) % kTile, half = static_cast<int>(threadIdx.x) / kTile;
  const auto keys_at = [&](int n, int c) -> T* {
    return g.dk && n < keys && c < d ? g.dk.at(out + n, block.head) + c : nullptr;
  };
  const auto values_at = [&](int n, int c) -> T* {
    return g.dv && n < keys && c < dv ? g.dv.at(out + n, block.head) + c : nullptr;
  };
  const auto whole = [](int) { return T{1}; };
  Sums<Plan, HeldKeys> dk;
  Sums<Plan, HeldValues> values;
  T total = 0;
  const Slice slice(static_cast<int>(s.sight.first_query(k)) / kTile, tiles_of(s.sight.queries));
  for (int tile = slice.begin; tile < slice.end; ++tile) {
    const int q = tile * kTile, queries = min(kTile, static_cast<int>(s.sight.queries) - q);
    const Index first_query = block.sequence * s.sight.queries + q;
    __syncthreads();
    load_rows<Plan>(g, block, first_query, queries, own);
    __syncthreads();
    slopes_of<Plan, true>(s, g, block, q, queries, k, keys, own);
    if (g.dbias)
      for (int m = half; m < kTile; m += 2) total += own.slopes[m * kStride + column];
    if (g.dv)
      values.template add<true>(own.weights, g.dy.at(first_query, block.head), g.dy.stride, queries, dv,
                                tile == slice.begin, values_at, whole, own, block);
    if (g.dk)
      dk.template add<true>(own.slopes, s.q.at(first_query, block.head), s.q.stride, queries, d, tile == slice.begin,
                            keys_at, whole, own, block);
  }
  __syncthreads();
  const bool any = slice.begin < slice.end;
  if (g.dk)
    dk.store(
        d, keys_at, [&](T value, int) { return any ? s.scale * value : T{0}; }, block);
  if (g.dv)
    values.store(
        dv, values_at, [&](T value, int) { return any ? value : T{0}; }, block);
  if (!g.dbias) return;
  __syncthreads();
  if (half == 1) own.row(0, column) = total;
  __syncthreads();
  if (half == 0 && column < keys) *g.dbias.at(out + column, block.head) = total + own.row(0, column);
}

}  // namespace neuroinhib::ops::stream
