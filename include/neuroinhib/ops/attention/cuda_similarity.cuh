#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>

#include <neuroinhib/ops/attention/cuda_cublas.cuh>
#include <neuroinhib/ops/attention/cuda_similarity_screen.cuh>
#include <neuroinhib/ops/attention/cuda_wgmma_tiles.cuh>

/// Mutual-inform routing on Hopper's matrix unit: attention of one head whose values are the experts' probabilities. In
/// similarity-inform its keys are as wide as the features; in attention-inform they are a head's keys and values side
/// by side, and have biases.
///
/// Computed: S_ij = scale · ⟨q_i, k_j⟩ + bias_j, P = softmax_j(S), y_i = Σ_j P_ij v_j, log-sums, entropies and P_ii.
/// Nearly all the work is S. P decides between experts, so logits need float's bits wherever P is not zero; often it is
/// zero nearly everywhere, since a token is much more like itself than like others. Units of 128 queries and 128 keys
/// are therefore screened (cuda_similarity_screen.cuh), and those are weighed, with all bits, that may hold a logit
/// less than `margin` below its token's own, or, with biases, below the largest that is known. The others add less than
/// 2⁻²⁴ of that weight to a row's sum of weights and to each of its results, and less than 2⁻²⁴ times the margin to its
/// entropy.
///
/// Tiles: queries in tiles of 128, each with the units that it sees. Every block has one share of all units, in order;
/// where a share begins within a tile, both sides leave a piece of the tile's results, and join_kernel adds the pieces
/// up in order.
///
///                  keys, 128 a unit ──▶
///                ┌─────┬─────┬─────┬──
///   queries,     │  a  │  a  │  b  │         a, b, c: shares of three blocks
///   128 a tile   ├─────┼─────┼─────┼──
///                │  b  │  b  │  c  │
///                └─────┴─────┴─────┴──
///
/// Pipeline: warpgroup 0's first thread has the copy engine fill stages, two warpgroups multiply 64 queries each. First
/// all units of the share are screened. Then some are weighed; a stage has 64 numbers of the depth of 128 queries and
/// 128 keys, high and low halves, and behind those of the depth comes one with the values. Narrow queries stay in
/// shared memory as long as their tile's units are weighed; stages have keys alone then, and warpgroups take turns: one
/// makes weights of its products while the other multiplies.
///
/// Arithmetic: ⟨q, k⟩ = l h + h l + h h of low and high halves, in this order, 64 of the depth at a time in the matrix
/// unit's sums, which truncate; these are added up in float. So it is as exact as a plain sum in float. P and v are
/// split into halves likewise. With routing in tf32 high halves alone count: ten bits.
namespace neuroinhib::ops::similarity {

using flash::positive_part;

#ifdef NEUROINHIB_WGMMA

/// Brings a tile's queries, all of the depth.
template <class P>
__device__ void produce_queries(const Memory<P>& memory, const Problem& p, const Maps& maps, const Walk& walk) {
  memory.held_full().arrive_and_expect(p.chunks * P::kParts * kBoxBytes);
  for (int chunk = 0; chunk < p.chunks; ++chunk)
#pragma unroll
    for (int part = 0; part < P::kParts; ++part)
      tiles::load_box(memory.weighed_queries(0, chunk) + part * P::kPartBytes, maps.q[part], memory.held_full(),
                      chunk * kDepth, walk.first_query(), walk.sequence);
}

/// Fills stages with all units that are weighed: for every step of the depth, and then their values.
template <class P>
__device__ void produce_weighed(const Memory<P>& memory, const Problem& p, const Maps& maps) {
  gemm::StageCursor<P::kWeighStages> at{0, 1};
  const unsigned char* weighty = memory.weighty();
  TileTurn tile;
  for (Walk walk(p.deal, memory.share()); walk.more(); walk.next()) {
    if (weighty[walk.number] == 0) continue;
    if (P::kHolds && tile.enter(walk.at.tile)) {
      memory.held_empty().wait(tile.parity ^ 1);
      produce_queries(memory, p, maps, walk);
    }
    const int query = walk.first_query(), key = walk.first_key(), sequence = walk.sequence;
    const bool both = !P::kHolds && p.same_rows(walk);
    for (int chunk = 0; chunk <= p.chunks; ++chunk) {
      memory.weigh_empty(at.stage).wait(at.parity);
      tiles::Barrier& full = memory.weigh_full(at.stage);
      const bool values = chunk == p.chunks;
      full.arrive_and_expect(P::kParts * (values ? P::kValueBoxes : P::kHolds || both ? 1 : 2) * kBoxBytes);
#pragma unroll
      for (int part = 0; part < P::kParts; ++part) {
        const int place = part * P::kPartBytes;
        if (values) {
          for (int box = 0; box < P::kValueBoxes; ++box)
            tiles::load_box(memory.weigh_stage(at.stage) + place + box * kBoxBytes, maps.v[part], full, 64 * box, key,
                            sequence);
        } else {
          if (!P::kHolds)
            tiles::load_box(memory.weighed_queries(at.stage, chunk) + place, maps.q[part], full, chunk * kDepth, query,
                            sequence);
          if (!both)
            tiles::load_box(memory.weighed_rows(at.stage) + place, maps.k[part], full, chunk * kDepth, key, sequence);
        }
      }
      at.advance();
    }
  }
}

/// Brings what is needed of a unit's keys to this warpgroup's place for it.
template <class P>
__device__ const WeighedKey* fetch_weighed(const Memory<P>& memory, const Problem& p, const Walk& walk,
                                           const Place& place, int turn) {
  WeighedKey* const fetched = memory.weighed_keys(place.warpgroup, turn);
  const int i = static_cast<int>(threadIdx.x) % wgmma::kWarpgroup, key = walk.first_key() + i;
  static_assert(wgmma::kWarpgroup == kTile);
  const bool there = key < p.deal.keys;
  int document = there ? 0 : -2;
  if (there && p.s.sight.document != nullptr) {
    document = p.s.sight.document[walk.sequence * p.s.sight.key_rows + key];
    if (document < 0) document = -2;
  }
  const KeyNumbers* const numbers = p.keys + static_cast<Index>(walk.sequence) * p.deal.keys + key;
  fetched[i] = {there ? numbers->unit : 0, there ? kLog2E * numbers->bias : 0, document};
  meet(2 + place.warpgroup, wgmma::kWarpgroup);
  return fetched;
}

/// The larger, or NaN where there is one.
__device__ __forceinline__ float larger(float a, float b) {
  float result;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
  return result;
}

/// The results of this thread's two rows so far, in its columns. Sums of exponentials count 2¹⁴ for each 1.
template <class P>
struct RowSums {
  static constexpr float kShift = 14, kVanish = 1000;  ///< 2 to the power of minus that is zero

  float y[P::kValues / 2], largest[2], sum[2], moment[2], self[2], unit;

  __device__ __forceinline__ void start() {
#pragma unroll
    for (float& value : y) value = 0;
#pragma unroll
    for (int h = 0; h < 2; ++h) largest[h] = self[h] = -INFINITY, sum[h] = moment[h] = 0;
    unit = 1;
  }
  /// Takes up the tile's logits of row h, in bits, and leaves their exponentials. Returns what sums so far are to be
  /// multiplied by.
  __device__ __forceinline__ float add(float (&logits)[kTile / 2], int h) {
    float highest = largest[h];
#pragma unroll
    for (int i = 0; i < kTile / 4; ++i) highest = fmaxf(highest, logits[4 * (i / 2) + 2 * h + i % 2]);
    highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, 1));
    highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, 2));
    const float base = highest == -INFINITY ? 0.f : highest;
    float added = 0, moved = 0;
#pragma unroll
    for (int i = 0; i < kTile / 4; ++i) {
      float& logit = logits[4 * (i / 2) + 2 * h + i % 2];
      const float distance = larger(logit - base, -kVanish);  // finite, where the weight is zero
      logit = flash::power_of_two(distance + kShift);
      added += logit;
      moved = fmaf(logit, distance, moved);
    }
    const float shrink = largest[h] == -INFINITY ? 0.f : exp2f(largest[h] - base);
    if (largest[h] != -INFINITY) moment[h] = shrink * (moment[h] + (largest[h] - base) * sum[h]);
    moment[h] += moved;
    sum[h] = shrink * sum[h] + added;
    largest[h] = highest;
    return shrink;
  }
};

/// Issues the products of one stage, 64 of the depth, of queries and keys whose high halves are named so.
template <class P>
__device__ __forceinline__ void issue_products(float (&sums)[kTile / 2], std::uint64_t queries, std::uint64_t keys) {
  constexpr auto kDepthInside = wgmma::Major::depth;
  constexpr int kLow = P::kPartBytes >> 4;
  if constexpr (P::kExact) {
#pragma unroll
    for (int k = 0; k < kDepth / 16; ++k)
      wgmma::multiply<__half, kDepthInside, kDepthInside>(sums, queries + kLow + 2 * k, keys + 2 * k, k > 0);
#pragma unroll
    for (int k = 0; k < kDepth / 16; ++k)
      wgmma::multiply<__half, kDepthInside, kDepthInside>(sums, queries + 2 * k, keys + kLow + 2 * k, true);
  }
#pragma unroll
  for (int k = 0; k < kDepth / 16; ++k)
    wgmma::multiply<__half, kDepthInside, kDepthInside>(sums, queries + 2 * k, keys + 2 * k, P::kExact || k > 0);
}

/// Products of 64 queries and 128 keys.
template <class P>
__device__ __forceinline__ void products_of(float (&total)[kTile / 2], const Memory<P>& memory, int chunks, bool both,
                                            gemm::StageCursor<P::kWeighStages>& at, const Place& place) {
#pragma unroll
  for (float& sum : total) sum = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    memory.weigh_full(at.stage).wait(at.parity);
    const unsigned char* const queries = memory.weighed_queries(at.stage, chunk);
    float sums[kTile / 2];
    wgmma::begin(sums);
    issue_products<P>(sums, name_rows(queries, 64 * place.warpgroup),
                      name_rows(both ? queries : memory.weighed_rows(at.stage), 0));
    wgmma::finish(sums);
    if (place.lane == 0) memory.weigh_empty(at.stage).arrive();
    at.advance();
#pragma unroll
    for (int i = 0; i < kTile / 2; ++i) total[i] += sums[i];
  }
}
/// The same of queries that are held, in two stages that are issued one behind the other.
template <class P>
__device__ __forceinline__ void products_of_two(float (&total)[kTile / 2], const Memory<P>& memory,
                                                gemm::StageCursor<P::kWeighStages>& at, const Place& place) {
  float others[kTile / 2];
  const int first = at.stage;
  memory.weigh_full(at.stage).wait(at.parity);
  at.advance();
  memory.weigh_full(at.stage).wait(at.parity);
  wgmma::settle(others);
  wgmma::begin(total);
  issue_products<P>(total, name_rows(memory.weighed_queries(first, 0), 64 * place.warpgroup),
                    name_rows(memory.weighed_rows(first), 0));
  issue_products<P>(others, name_rows(memory.weighed_queries(at.stage, 1), 64 * place.warpgroup),
                    name_rows(memory.weighed_rows(at.stage), 0));
  wgmma::finish(total);
  wgmma::settle(others);
  if (place.lane == 0) memory.weigh_empty(first).arrive(), memory.weigh_empty(at.stage).arrive();
  at.advance();
#pragma unroll
  for (int i = 0; i < kTile / 2; ++i) total[i] += others[i];
}

/// −∞ for what row h's query does not see, as Visibility::sees has it. Notes the query's own logit.
__device__ __forceinline__ void hide(float (&logits)[kTile / 2], int h, const Problem& p, const Walk& walk,
                                     const Place& place, const WeighedKey* keys, float& self) {
  const Visibility& sight = p.s.sight;
  const int query = walk.first_query() + place.row + 8 * h, first = walk.first_key();
  const int own = p.deal.past + query - first, last = min(p.deal.causal ? own : kTile, p.deal.keys - first - 1);
  const auto hide_if = [&](const auto& hidden) {
#pragma unroll
    for (int i = 0; i < kTile / 4; ++i) {
      const int column = 8 * (i / 2) + place.column() + i % 2;
      float& logit = logits[4 * (i / 2) + 2 * h + i % 2];
      self = column == own ? logit : self;
      logit = hidden(column) ? -INFINITY : logit;
    }
  };
  if (sight.document == nullptr) return hide_if([&](int column) { return column > last; });
  const int document =
      query < p.deal.queries ? max(sight.document[walk.sequence * sight.key_rows + p.deal.past + query], -1) : 0;
  hide_if([&](int column) { return (column > last) | ((keys[column].document != document) & (column != own)); });
}

/// Products into logits in bits; −∞ where a key is hidden.
__device__ __forceinline__ void make_logits(float (&products)[kTile / 2], const Problem& p, const Walk& walk,
                                            const Place& place, const WeighedKey* keys, const float (&factor)[2],
                                            float (&self)[2]) {
  if (p.biased) {
#pragma unroll
    for (int i = 0; i < kTile / 2; ++i) {
      const WeighedKey& key = keys[8 * (i / 4) + place.column() + i % 2];
      products[i] = fmaf(products[i], key.unit * factor[i / 2 % 2], key.bias);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kTile / 2; ++i)
      products[i] *= keys[8 * (i / 4) + place.column() + i % 2].unit * factor[i / 2 % 2];
  }
  const int end = walk.first_key() + kTile;
  if (end <= p.deal.keys && !walk.own() && p.s.sight.open(walk.first_query(), end)) return;
#pragma unroll
  for (int h = 0; h < 2; ++h) hide(products, h, p, walk, place, keys, self[h]);
}

/// y += weights · values, whose unit is `unit`.
template <class P>
__device__ __forceinline__ void add_values(RowSums<P>& rows, float (&weights)[kTile / 2], const float (&shrink)[2],
                                           float unit, const unsigned char* stage) {
  constexpr int kSteps = kTile / 16;
  std::uint32_t high[kSteps][4], low[kSteps][4];
#pragma unroll
  for (int k = 0; k < kSteps; ++k)
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      high[k][r] = detail::take_high(weights[8 * k + 2 * r], weights[8 * k + 2 * r + 1]);
      if constexpr (P::kExact) low[k][r] = detail::take_high(weights[8 * k + 2 * r], weights[8 * k + 2 * r + 1]);
    }
  const std::uint64_t v = name_values(stage), v_low = name_values(stage + P::kPartBytes);
  float sums[P::kValues / 2];
  wgmma::begin(sums);
#pragma unroll
  for (int k = 0; k < kSteps; ++k) {
    const std::uint64_t step = k * (2048 >> 4);
    if constexpr (P::kExact) {
      wgmma::multiply<__half, wgmma::Major::lines>(sums, low[k], v + step, k > 0);
      wgmma::multiply<__half, wgmma::Major::lines>(sums, high[k], v_low + step, true);
    }
    wgmma::multiply<__half, wgmma::Major::lines>(sums, high[k], v + step, P::kExact || k > 0);
  }
  wgmma::finish(sums);
  const float ratio = rows.unit / unit;
#pragma unroll
  for (int i = 0; i < P::kValues / 2; ++i) rows.y[i] = rows.y[i] * (shrink[i / 2 % 2] * ratio) + sums[i];
  rows.unit = unit;
}

/// Stores the results of this thread's rows of a tile: where they belong if the share has the whole tile, else as its
/// piece: its first, if the tile began before it.
template <class P>
__device__ __forceinline__ void store(const RowSums<P>& rows, const Problem& p, const Dealing::Unit& begin, bool whole,
                                      const Place& place) {
  const int sequence = begin.tile / p.deal.tiles, first = begin.tile % p.deal.tiles * kTile;
  const int width = static_cast<int>(p.s.value_width);
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = place.row + 8 * h, query = first + row;
    float sum = rows.sum[h], moment = rows.moment[h], self = rows.self[h];
#pragma unroll
    for (int step = 1; step < 4; step *= 2) {
      sum += __shfl_xor_sync(0xffffffffu, sum, step);
      moment += __shfl_xor_sync(0xffffffffu, moment, step);
      const float other = __shfl_xor_sync(0xffffffffu, self, step);
      self = self == -INFINITY ? other : self;
    }
    if (query >= p.deal.queries) continue;
    const bool empty = sum == 0;
    const float bits = log2f(sum) - RowSums<P>::kShift, log_sum = empty ? -INFINITY : rows.largest[h] + bits;
    const float entropy = empty ? 0.f : positive_part(kLn2 * (bits - moment / sum));
    const float weight = self == -INFINITY ? 0.f : exp2f(self - log_sum), norm = empty ? 0.f : rows.unit / sum;
    const Index out = static_cast<Index>(sequence) * p.deal.queries + query;
    const Index piece = (2 * static_cast<Index>(blockIdx.x) + (begin.key == 0 ? 1 : 0)) * kTile + row;
    float* const y = whole ? p.s.y.at(out, 0) : p.piece_rows + piece * width;
#pragma unroll
    for (int i = 0; i < P::kValues / 4; ++i) {
      const int column = 8 * (i / 2) + place.column() + i % 2;
      if (column < width) y[column] = rows.y[4 * (i / 2) + 2 * h + i % 2] * norm;
    }
    if (place.lane % 4 != 0) continue;
    if (!whole) {
      p.piece_numbers[piece] = {log_sum, entropy, weight};
      continue;
    }
    *p.s.log_sum.at(out, 0) = log_sum * kLn2;
    if (p.s.entropy) *p.s.entropy.at(out, 0) = entropy;
    if (p.s.self) *p.s.self.at(out, 0) = weight;
  }
}

/// Weighs what is marked, tile after tile.
template <class P>
__device__ void weigh(const Memory<P>& memory, const Problem& p) {
  const Place place;
  gemm::StageCursor<P::kWeighStages> at;
  RowSums<P> rows;
  float factor[2];
  Dealing::Unit begin{-1, 0};
  TileTurn tile;
  int turn = 0;
  for (Walk walk(p.deal, memory.share()); walk.more();) {
    if (walk.at.tile != begin.tile) {
      begin = walk.at;
      rows.start();
      QueryNumbers q[2];
      fetch_queries(p, walk, place, q);
      factor[0] = q[0].factor, factor[1] = q[1].factor;
    }
    if (__shfl_sync(0xffffffffu, static_cast<int>(memory.weighty()[walk.number]), 0) != 0) {
      const WeighedKey* const keys = fetch_weighed(memory, p, walk, place, turn++);
      float weights[kTile / 2];
      if (P::kHolds && tile.enter(walk.at.tile)) memory.held_full().wait(tile.parity);
      if constexpr (P::kHolds) memory.turn(place.warpgroup).wait((turn + place.warpgroup) % 2);
      const float unit = p.value_units[walk.sequence * p.value_tiles + walk.at.key];
      if (P::kHolds && p.chunks == 2)
        products_of_two(weights, memory, at, place);
      else
        products_of(weights, memory, p.chunks, !P::kHolds && p.same_rows(walk), at, place);
      if (P::kHolds && place.lane == 0) memory.turn(1 - place.warpgroup).arrive();
      make_logits(weights, p, walk, place, keys, factor, rows.self);
      const float shrink[2] = {rows.add(weights, 0), rows.add(weights, 1)};
      memory.weigh_full(at.stage).wait(at.parity);
      add_values(rows, weights, shrink, unit, memory.weigh_stage(at.stage));
      if (place.lane == 0) memory.weigh_empty(at.stage).arrive();
      at.advance();
    }
    const bool whole = begin.key == 0 && walk.last_of_tile();
    walk.next();
    if (walk.more() && walk.at.tile == begin.tile) continue;
    if (P::kHolds && tile.number == begin.tile && place.lane == 0) memory.held_empty().arrive();
    store(rows, p, begin, whole, place);
  }
}

#endif

template <class P>
__global__ void __launch_bounds__(P::kThreads, 1)
    similarity_kernel(const __grid_constant__ Maps maps, const __grid_constant__ Problem p) {
#ifdef NEUROINHIB_WGMMA
  detail::pdl_launch_next();
  extern __shared__ __align__(1024) unsigned char shared[];
  const Memory<P> memory{shared};
  if (threadIdx.x == 0) memory.init_barriers();
  if (threadIdx.x % detail::kWarp == 0 && threadIdx.x < 2 * detail::kWarp)
    memory.share()[threadIdx.x / detail::kWarp] = p.deal.begin(blockIdx.x + threadIdx.x / detail::kWarp);
  const bool screens = p.screen_chunks > 0;
  for (int i = static_cast<int>(threadIdx.x); i < kWindow; i += P::kThreads) memory.weighty()[i] = screens ? 0 : 1;
  if (threadIdx.x == 0) memory.foremost() = -1;
  detail::pdl_wait();
  __syncthreads();
  if (screens && p.biased) find_foremost(memory, p);
  if (threadIdx.x < wgmma::kWarpgroup) {
    tiles::give_registers<24>();
    if (threadIdx.x == 0 && screens) produce_screened<P>(memory, p, maps);
    __syncwarp();
    meet(1, P::kThreads);
    if (threadIdx.x == 0) produce_weighed<P>(memory, p, maps);
  } else {
    tiles::take_registers<240>();
    if (screens) screen<P>(memory, p);
    meet(1, P::kThreads);
    weigh<P>(memory, p);
  }
#endif
}

inline constexpr int kJoinedRows = 16;  ///< of a tile, by a block

/// Joins the pieces of a row, one from each of the shares [first, last]: a warp.
__device__ inline void join_row(const Problem& p, Index out, int row, int first, int last) {
  const int lane = static_cast<int>(threadIdx.x) % detail::kWarp;
  const Index width = p.s.value_width;
  const auto place = [&](int share) { return static_cast<Index>(2 * share + (share == first ? 1 : 0)) * kTile + row; };
  float largest = -INFINITY, sum = 0, entropy = 0, self = 0;
  for (int i = first; i <= last; ++i) largest = fmaxf(largest, p.piece_numbers[place(i)].log_sum);
  for (int i = first; i <= last; ++i) sum += exp2f(p.piece_numbers[place(i)].log_sum - largest);
  const float total = largest + log2f(sum);
  for (Index c = lane; c < width; c += detail::kWarp) {
    float y = 0;
    for (int i = first; i <= last; ++i)
      y += exp2f(p.piece_numbers[place(i)].log_sum - total) * p.piece_rows[place(i) * width + c];
    p.s.y.at(out, 0)[c] = y;
  }
  if (lane != 0) return;
  for (int i = first; i <= last; ++i) {
    const PieceNumbers piece = p.piece_numbers[place(i)];
    const float bits = piece.log_sum - total, weight = exp2f(bits);
    if (weight != 0) entropy += weight * (piece.entropy - kLn2 * bits);
    self += weight * piece.self;
  }
  *p.s.log_sum.at(out, 0) = total * kLn2;
  if (p.s.entropy) *p.s.entropy.at(out, 0) = entropy;
  if (p.s.self) *p.s.self.at(out, 0) = self;
}

/// Joins the pieces of tiles that several shares have.
template <int = 0>
__global__ void __launch_bounds__(detail::kThreads) join_kernel(const __grid_constant__ Problem p) {
  detail::pdl_begin();
  constexpr int kBlocks = kTile / kJoinedRows;  // of a tile
  const Dealing& deal = p.deal;
  const int tile = static_cast<int>(blockIdx.x) / kBlocks, sequence = tile / deal.tiles, t = tile % deal.tiles;
  __shared__ int shares[2];  // the first and the last
  if (threadIdx.x < 2)
    shares[threadIdx.x] = static_cast<int>(deal.share_of({tile, threadIdx.x == 0 ? 0 : deal.units(t) - 1}));
  __syncthreads();
  const int first = shares[0], last = shares[1];
  if (first == last) return;
  const int begin = static_cast<int>(blockIdx.x) % kBlocks * kJoinedRows;
  for (int row = begin + static_cast<int>(threadIdx.x) / detail::kWarp; row < begin + kJoinedRows;
       row += detail::kThreads / detail::kWarp)
    if (t * kTile + row < deal.queries)
      join_row(p, static_cast<Index>(sequence) * deal.queries + t * kTile + row, row, first, last);
}

/// Whether this call is computed here: few queries of many keys in a cache are not worth splitting these.
template <class T>
[[nodiscard]] bool suits(const Cuda<T>& cuda, const FlashAttention<T>& s) {
  if constexpr (!std::is_same_v<T, float>) return false;
  const Visibility& sight = s.sight;
  return cuda.has_wgmma() && s.routing && s.heads == 1 && !s.bias && s.scale >= 0 && s.value_width >= 1 &&
         s.value_width <= kWidestValues && sight.past + sight.queries <= sight.keys && 8 * sight.queries >= sight.keys;
}

/// Calls use.operator()<Plan>() with the plan for these values.
template <class Use>
void with_plan(Index width, Index values, bool exact, const Use& use) {
  const auto widths = [&]<bool kExact, bool kHolds>() {
    if (values <= 16) return use.template operator()<Plan<16, kExact, kHolds>>();
    use.template operator()<Plan<64, kExact, kHolds>>();
  };
  const auto all_widths = [&]<bool kExact>() {
    if (values > 64) return use.template operator()<Plan<128, kExact, false>>();
    if (width <= kHeldChunks * kDepth) return widths.template operator()<kExact, true>();
    widths.template operator()<kExact, false>();
  };
  exact ? all_widths.template operator()<true>() : all_widths.template operator()<false>();
}

[[nodiscard]] inline Dealing dealing(const Cuda<float>& cuda, const Visibility& sight, int weighing) {
  const auto tiles = static_cast<int>((sight.queries + kTile - 1) / kTile);
  Dealing deal{static_cast<int>(sight.past),
               static_cast<int>(sight.queries),
               static_cast<int>(sight.keys),
               tiles,
               sight.mask == Mask::causal,
               weighing,
               sight.count,
               1};
  const Index blocks = cuda.multiprocessors(), most = blocks * (kWindow - 1);
  deal.shares = std::min<std::int64_t>((deal.cost() + most - 1) / most * blocks, deal.cost());
  return deal;
}

/// Whether units are screened: rows are not too wide, and, with biases, enough units follow one another for thresholds
/// to rise, and no documents hide which.
[[nodiscard]] inline bool screens(const Cuda<float>& cuda, const FlashAttention<float>& s, bool biased) {
  constexpr Index kFewUnits = 16;  // of a share
  return s.key_width <= kScreenedChunks * 2 * kDepth &&
         (!biased ||
          (s.sight.document == nullptr && dealing(cuda, s.sight, 0).cost() >= kFewUnits * cuda.multiprocessors()));
}

/// What lies so far below a row's largest logit weighs nothing: e^-margin = 2⁻²⁴ / keys.
[[nodiscard]] inline float margin_of(const Visibility& sight) {
  return 16.7f + std::log(static_cast<float>(sight.keys));
}

/// An attention's queries and keys, wherever they are.
template <class Source, class Bias>
struct Rows {
  const FlashAttention<float>& s;
  Source q, k;
  Bias bias;  ///< of keys
  bool same;  ///< queries are keys
};

/// Rows of queries or of keys, with memory for what becomes of them.
template <int Cached, class Source, class Bias>
SplitRows<Source, Bias, Cached> rows_to_split(Cuda<float>& cuda, const Rows<Source, Bias>& of, bool of_keys,
                                              bool exact) {
  const FlashAttention<float>& s = of.s;
  const Visibility& sight = s.sight;
  const Index each = of_keys ? sight.keys : sight.queries;
  using Split = SplitRows<Source, Bias, Cached>;
  Split rows{s,
             of_keys ? of.k : of.q,
             of.k,
             of.bias,
             each,
             of_keys ? sight.key_rows : sight.queries,
             Halves(cuda, sight.count, each, s.key_width, exact),
             Integers(cuda, sight.count, each, s.key_width, screens(cuda, s, Split::kBiased)),
             nullptr,
             nullptr,
             margin_of(sight),
             of.q.in_fours() && of.k.in_fours()};
  if (of_keys) rows.keys = cuda.kernel_memory<KeyNumbers>(rows.count());
  return rows;
}

template <int Cached, class Source, class Bias>
void run_forward(Cuda<float>& cuda, const Rows<Source, Bias>& rows) {
  const ArenaScope scope(cuda.device_arena());
  const FlashAttention<float>& s = rows.s;
  const Visibility& sight = s.sight;
  const bool exact = flash::is_exact(cuda, s), same = rows.same;
  using Split = SplitRows<Source, Bias, Cached>;
  Split k = rows_to_split<Cached>(cuda, rows, true, exact),
        q = same ? k : rows_to_split<Cached>(cuda, rows, false, exact);
  (same ? k : q).queries = q.queries = cuda.kernel_memory<QueryNumbers>(s.rows());
  const auto value_tiles = static_cast<int>((sight.keys + kTile - 1) / kTile);
  const SplitValues v{s, Halves(cuda, sight.count, sight.keys, s.value_width, exact), value_tiles,
                      cuda.kernel_memory<float>(sight.count * value_tiles), in_fours(s.v, s.value_width)};
  split(cuda, v, k, same ? nullptr : &q);
  const bool screened = screens(cuda, s, Split::kBiased);
  const Dealing deal = dealing(cuda, sight, screened ? (exact ? 7 : 3) * (Split::kBiased ? 2 : 1) : 0);
  const auto chunks = [&](int depth) { return static_cast<int>((s.key_width + depth - 1) / depth); };
  const Index piece_rows = 2 * deal.shares * kTile;
  const Problem p{s,
                  deal,
                  chunks(kDepth),
                  screened ? chunks(2 * kDepth) : 0,
                  q.queries,
                  k.keys,
                  v.units,
                  value_tiles,
                  margin_of(sight),
                  Split::kBiased,
                  same,
                  cuda.kernel_memory<float>(piece_rows * s.value_width),
                  cuda.kernel_memory<PieceNumbers>(piece_rows)};
  Maps maps{};
  q.halves.map(cuda, maps.q);
  k.halves.map(cuda, maps.k);
  v.halves.map(cuda, maps.v);
  if (screened) {
    maps.q_integers = q.integers.map(cuda);
    maps.k_integers = k.integers.map(cuda);
  }
  with_plan(s.key_width, s.value_width, exact, [&]<class P>() {
    auto* kernel = similarity_kernel<P>;
    cuda.allow_shared(kernel, P::kSharedBytes);
    cuda.launch_pdl(dim3(static_cast<unsigned>(deal.shares)), dim3(P::kThreads), P::kSharedBytes, kernel, maps, p);
  });
  cuda.launch_pdl(dim3(static_cast<unsigned>(sight.count * deal.tiles * (kTile / kJoinedRows))), dim3(detail::kThreads),
                  0, join_kernel<>, p);
}

template <std::same_as<Cuda<float>> B>
void run_forward(B& cuda, const FlashAttention<float>& s) {
  const bool same = s.q.data == s.k.data && s.q.stride == s.k.stride && s.sight.queries == s.sight.key_rows;
  const Rows<PlainRows, NoBias> rows{s, {s.q, s.key_width}, {s.k, s.key_width}, {}, same};
  s.key_width <= 512 ? run_forward<2>(cuda, rows) : run_forward<4>(cuda, rows);
}

}  // namespace neuroinhib::ops::similarity
