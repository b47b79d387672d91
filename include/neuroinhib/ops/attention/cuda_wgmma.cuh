#pragma once

#include <algorithm>

#include <neuroinhib/ops/attention/cuda_cublas.cuh>
#include <neuroinhib/ops/attention/cuda_wgmma_tiles.cuh>

/// Flash attention, forward, on Hopper's matrix unit: rows up to 128 wide, without biases.
///
/// Computed: for each head y = softmax(scale · q kᵀ) v over the keys that a query sees, and of each row of the softmax
/// its log-sum, its entropy and the token's weight on itself.
///
/// Tiles: a block takes 64 queries a warpgroup, and passes over their keys from the last that is seen to the first.
/// Rows up to 64 wide have three warpgroups that multiply and tiles of 96 keys, rows up to 128 wide two and 128:
///
///                   ◀── keys, a tile at a time
///               ──┬─────┬─────┬─────┐
///   warpgroup 1   │     │     │  ╲  │    S = q kᵀ is made in registers; its weights, rounded to two bytes, are the
///   warpgroup 2   │     │     │   ╲ │    left factor of y += P v from the registers that they are made in
///   warpgroup 3   │     │     │    ╲│
///               ──┴─────┴─────┴─────┘    hidden tiles are left out; whole ones, of which nothing is hidden, unmasked
///
/// Pipeline: a warp of warpgroup 0 has the copy engine bring queries, and keys and values as long as a stage is empty.
/// A multiplying warpgroup issues the next tile's S, then this tile's y += P v, and makes the next weights while the
/// matrix unit adds up y. Blocks stay on their multiprocessor and take the next tile of queries that no block has,
/// longest first.
///
/// Arithmetic: factors in scaled two-byte floats (cuda_halves.cuh), sums in float, exponents to base 2. A weight is
/// 2^(x + 7), x being its logit's distance from the largest that the row knows of, and keeps ten bits down to 2⁻²¹ of
/// that one's. A whole tile takes the largest of the tiles before, without looking for its own; where that makes
/// weights too large for two bytes, the warpgroup multiplies the tile again and looks. The entropy is log l − t / l of
/// l = Σ w and t = Σ w log₂ w, whatever the weights' common factor.
namespace neuroinhib::ops::flash {

/// For rows up to Width wide.
template <int Width>
struct WgmmaPlan {
  static constexpr int kWidth = Width, kPanels = Width / 64;
  static constexpr int kConsumers = Width == 64 ? 3 : 2, kTile = Width == 64 ? 96 : 128;
  static constexpr int kThreads = (1 + kConsumers) * wgmma::kWarpgroup, kQueries = kRowsEach * kConsumers;
  static constexpr int kProducerRegisters = kConsumers == 3 ? 32 : 40, kConsumerRegisters = kConsumers == 3 ? 160 : 232;
  static constexpr int kQueryBytes = kQueries * Width * 2, kTileBytes = kTile * Width * 2;
  static constexpr int kStages = std::min(4, (kMaxShared - 2 * kQueryBytes) / (2 * kTileBytes));
  static constexpr int kSharedBytes =
      2 * kQueryBytes + 2 * kStages * kTileBytes + (4 * kStages + 4) * 8 + 4 * kStages + 8;
};

template <class P>
using QueryRows = SwizzledRows<P::kQueries, P::kPanels>;
template <class P>
using KeyRows = SwizzledRows<P::kTile, P::kPanels>;

/// What a kernel needs besides factors.
struct WgmmaAttention {
  Visibility sight;
  int heads, value_width;
  float scale;
  const FactorSize* sizes;      ///< of the factors
  const DocumentRange* ranges;  ///< of each 64 keys
  WorkOrder order;
  HeadRows<float> y, log_sum, entropy, self;
  bool in_twos;  ///< y's numbers can be stored in twos
};
struct FactorMaps {
  CUtensorMap q, k, v;
};

/// The shared memory of a block.
template <class P>
struct AttentionMemory {
  unsigned char* base;

  /// Two tiles of queries take turns, so that the next one's are there when this one's are done with.
  __device__ unsigned char* queries(int round) const { return base + round % 2 * P::kQueryBytes; }
  __device__ unsigned char* keys(int stage) const { return base + 2 * P::kQueryBytes + stage * P::kTileBytes; }
  __device__ unsigned char* values(int stage) const { return keys(P::kStages + stage); }
  __device__ tiles::Barrier& full_keys(int stage) const {
    return reinterpret_cast<tiles::Barrier*>(keys(2 * P::kStages))[stage];
  }
  __device__ tiles::Barrier& empty_keys(int stage) const { return full_keys(P::kStages + stage); }
  __device__ tiles::Barrier& full_values(int stage) const { return full_keys(2 * P::kStages + stage); }
  __device__ tiles::Barrier& empty_values(int stage) const { return full_keys(3 * P::kStages + stage); }
  __device__ tiles::Barrier& full_queries(int round) const { return full_keys(4 * P::kStages + round % 2); }
  __device__ tiles::Barrier& empty_queries(int round) const { return full_keys(4 * P::kStages + 2 + round % 2); }
  __device__ TileNote& note(int stage) const {
    return reinterpret_cast<TileNote*>(&full_keys(4 * P::kStages + 4))[stage];
  }
  /// The number of a round's tile of queries.
  __device__ int& work(int round) const { return reinterpret_cast<int*>(&note(P::kStages))[round % 2]; }

  __device__ void start() const {
    constexpr int kWarps = 4 * P::kConsumers;
    for (int stage = 0; stage < P::kStages; ++stage) {
      full_keys(stage).init(1);
      full_values(stage).init(1);
      empty_keys(stage).init(kWarps);
      empty_values(stage).init(kWarps);
    }
    for (int round = 0; round < 2; ++round) {
      full_queries(round).init(1);
      empty_queries(round).init(kWarps);
    }
    tiles::publish_barriers();
  }
};

#ifdef NEUROINHIB_WGMMA

/// What a thread knows of its two rows, lane / 4 and 8 further, while it passes over their keys.
template <class P>
struct SoftmaxRows {
  static constexpr float kVanish = 1000;  ///< 2 to the power of minus that is zero
  static constexpr int kSums = P::kTile / 2;
  static constexpr float kExponent = 7;  ///< weights are two-byte floats times 2 to the power of this
  static constexpr float kMax = 32768;   ///< bound of a thread's weights of a row

  float factor;  ///< of products, to make logits to base 2
  int first;     ///< of the rows, in the sequence
  float largest[2], sum[2], moment[2];

  __device__ SoftmaxRows(const WgmmaAttention& s, int begin)
      : factor(logit_factor(s.scale, s.sizes)), first(begin + static_cast<int>(threadIdx.x) % 32 / 4) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      largest[r] = -INFINITY;
      sum[r] = moment[r] = 0;
    }
  }
  __device__ int row(int r) const { return first + 8 * r; }
  __device__ int position(int r, const WgmmaAttention& s) const { return static_cast<int>(s.sight.past) + row(r); }
  __device__ Index out(int r, const WgmmaAttention& s, int sequence) const {
    return sequence * s.sight.queries + row(r);
  }
  /// Whether the row is there, and this thread has its product with itself.
  __device__ bool has_itself(int r, const WgmmaAttention& s) const {
    return row(r) < s.sight.queries && position(r, s) % 8 / 2 == static_cast<int>(threadIdx.x) % 4;
  }

  /// Sets the products of hidden pairs to −∞. That of a token with itself waits for finish() where its weight will be.
  __device__ __forceinline__ void hide(float (&sums)[kSums], const WgmmaAttention& s, int sequence, int head,
                                       int begin) const {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int own = position(r, s) - begin - static_cast<int>(threadIdx.x) % 4 * 2;
      float itself = 0;
#pragma unroll
      for (int i = 0; i < kSums / 2; ++i)
        if (i / 2 * 8 + i % 2 == own) itself = sums[i / 2 * 4 + 2 * r + i % 2];
      if (s.self && has_itself(r, s) && own >= 0 && own < P::kTile) *s.self.at(out(r, s, sequence), head) = itself;
    }
    hide_pairs<false>(sums, s.sight, sequence, first, begin);
  }

  /// Products into weights; earlier sums are to be multiplied by shrink. `masked`: some products may be −∞.
  __device__ __forceinline__ void weigh(float (&s)[kSums], bool masked, float (&shrink)[2]) {
    float base[2], shift[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float highest = largest[r];
#pragma unroll
      for (int i = 0; i < kSums / 2; ++i) highest = fmaxf(highest, s[i / 2 * 4 + 2 * r + i % 2]);
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, 1));
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, 2));
      base[r] = highest == -INFINITY ? 0.f : highest;  // nothing seen yet: all weights are zero
      shift[r] = fmaxf((largest[r] - base[r]) * factor, -kVanish);
      largest[r] = highest;
    }
    if (masked) {
#pragma unroll
      for (int i = 0; i < kSums; ++i) {
        const float least = base[i / 2 % 2] - kVanish / factor;
        if (s[i] < least) s[i] = least;  // so that a weight of zero has a finite exponent
      }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float added = 0, moved = 0;
      exponentiate(s, r, base[r], added, moved);
      shrink[r] = power_of_two(shift[r]);
      moment[r] = fmaf(shrink[r], fmaf(shift[r], sum[r], moment[r]), moved);
      sum[r] = fmaf(shrink[r], sum[r], added);
    }
  }
  /// The same for a whole tile, from the largest so far. Whether weights may have become too large; else they are added
  /// up.
  __device__ __forceinline__ bool weigh_as_before(float (&s)[kSums]) {
    float added[2] = {}, moved[2] = {};
#pragma unroll
    for (int r = 0; r < 2; ++r) exponentiate(s, r, largest[r], added[r], moved[r]);
    if (any_of_warpgroup(!(added[0] < kMax && added[1] < kMax))) return true;
#pragma unroll
    for (int r = 0; r < 2; ++r) sum[r] += added[r], moment[r] += moved[r];
    return false;
  }
  /// A row's products into weights w, given the largest; added += Σ w, moved += Σ w log₂ w.
  __device__ __forceinline__ void exponentiate(float (&s)[kSums], int r, float base, float& added, float& moved) const {
    const float offset = kExponent - base * factor;
#pragma unroll
    for (int i = 0; i < kSums / 2; ++i) {
      float& product = s[i / 2 * 4 + 2 * r + i % 2];
      const float exponent = fmaf(product, factor, offset);
      product = power_of_two(exponent);
      added += product;
      moved = fmaf(product, exponent, moved);
    }
  }

  /// Weights as left factors of the second product.
  __device__ __forceinline__ static void to_halves(const float (&s)[kSums],
                                                   std::uint32_t (&weights)[P::kTile / 16][4]) {
#pragma unroll
    for (int k = 0; k < P::kTile / 16; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) weights[k][i] = pair_of_halves(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
  }

  /// Of all keys: a row's log-sum, entropy and weight on itself. Returns what its sums are to be multiplied by.
  __device__ __forceinline__ float finish(int r, const WgmmaAttention& s, int sequence, int head) {
    constexpr float kLogOf2 = 0.6931471805599453f;
    float total = sum[r], all = moment[r];
#pragma unroll
    for (int step = 1; step < 4; step *= 2) {
      total += __shfl_xor_sync(0xffffffffu, total, step);
      all += __shfl_xor_sync(0xffffffffu, all, step);
    }
    if (has_itself(r, s)) {
      const Index at = out(r, s, sequence);
      const float logarithm = log2f(total), entropy = logarithm - all / total, offset = kExponent - largest[r] * factor;
      *s.log_sum.at(at, head) = kLogOf2 * (logarithm - offset);
      if (s.entropy) *s.entropy.at(at, head) = kLogOf2 * positive_part(entropy);
      if (s.self) *s.self.at(at, head) = power_of_two(fmaf(*s.self.at(at, head), factor, offset)) / total;
    }
    return s.sizes[kValueFactor].inverse / total;
  }
};

/// The warp that has queries, keys and values brought.
template <class P>
__device__ void bring(const AttentionMemory<P>& memory, const FactorMaps& maps, const WgmmaAttention& s) {
  const bool issues = threadIdx.x == 0;
  gemm::StageCursor<P::kStages> at{0, 1};  // all stages are empty
  int matrix, tile_number;
  for (int round = 0;; ++round) {
    const int number = __shfl_sync(0xffffffffu, issues ? s.order.draw(round) : 0, 0);
    const bool any = s.order.find(number, matrix, tile_number);
    if (issues) {
      memory.empty_queries(round).wait(round / 2 % 2 ^ 1);
      memory.work(round) = number;
      if (!any) memory.full_queries(round).arrive();
    }
    if (!any) return;
    const int sequence = matrix / s.heads, first = tile_number * P::kQueries;
    if (issues) {
      memory.full_queries(round).arrive_and_expect(QueryRows<P>::kBytes);
      QueryRows<P>::load(memory.queries(round), maps.q, memory.full_queries(round), first, matrix);
    }
    TileList<P::kConsumers, P::kTile, false> tiles(s.sight, ranges_of(s.sight, s.ranges, sequence), first);
    TileNote note{};
    do {
      note = tiles.next();
      if (issues) {
        memory.empty_keys(at.stage).wait(at.parity);
        memory.note(at.stage) = note;
        memory.full_keys(at.stage).arrive_and_expect(KeyRows<P>::kBytes);
        KeyRows<P>::load(memory.keys(at.stage), maps.k, memory.full_keys(at.stage), note.template begin<P::kTile>(),
                         matrix);
        memory.empty_values(at.stage).wait(at.parity);
        memory.full_values(at.stage).arrive_and_expect(KeyRows<P>::kBytes);
        KeyRows<P>::load(memory.values(at.stage), maps.v, memory.full_values(at.stage), note.template begin<P::kTile>(),
                         matrix);
      }
      at.advance();
    } while (!note.last());
  }
}

/// A warpgroup that multiplies.
template <class P>
struct Consumer {
  const AttentionMemory<P>& memory;
  const WgmmaAttention& s;
  int group;  ///< among those that multiply
  gemm::StageCursor<P::kStages> at{};
  const unsigned char* queries = nullptr;

  /// Waits for the next tile's keys.
  __device__ TileNote next() const {
    memory.full_keys(at.stage).wait(at.parity);
    return {__shfl_sync(0xffffffffu, memory.note(at.stage).word, 0)};
  }
  /// Issues S of that tile.
  __device__ __forceinline__ void score(float (&sums)[P::kTile / 2]) const {
    constexpr auto kDepth = wgmma::Major::depth;
    const std::uint64_t q = QueryRows<P>::template name<kDepth>(queries, kRowsEach * group),
                        k = KeyRows<P>::template name<kDepth>(memory.keys(at.stage), 0);
    wgmma::settle(sums);
    wgmma::order();
#pragma unroll
    for (int i = 0; i < P::kWidth / 16; ++i)
      wgmma::multiply<__half, kDepth, kDepth>(sums, q + QueryRows<P>::template step<kDepth>(i),
                                              k + KeyRows<P>::template step<kDepth>(i), i > 0);
    wgmma::commit();
  }
  /// Issues y += weights · the values of the tile before.
  __device__ __forceinline__ void add_values(float (&y)[P::kWidth / 2],
                                             const std::uint32_t (&weights)[P::kTile / 16][4]) const {
    const auto from = at.before();
    memory.full_values(from.stage).wait(from.parity);
    constexpr auto kLines = wgmma::Major::lines;
    const std::uint64_t v = KeyRows<P>::template name<kLines>(memory.values(from.stage), 0);
    wgmma::settle(y);
    wgmma::order();
#pragma unroll
    for (int k = 0; k < P::kTile / 16; ++k)
      wgmma::multiply<__half, kLines>(y, weights[k], v + KeyRows<P>::template step<kLines>(k), true);
    wgmma::commit();
  }
  __device__ __forceinline__ void await_values(float (&y)[P::kWidth / 2],
                                               std::uint32_t (&weights)[P::kTile / 16][4]) const {
    wgmma::wait<0>();
    wgmma::settle(y);
    hold(weights);
    release(memory.empty_values(at.before().stage));
  }
  __device__ void release(tiles::Barrier& barrier) const {
    if (threadIdx.x % detail::kWarp == 0) barrier.arrive();
  }
  /// Gives back a tile that this warpgroup has no use for.
  __device__ void pass() {
    release(memory.empty_keys(at.stage));
    memory.full_values(at.stage).wait(at.parity);
    release(memory.empty_values(at.stage));
    at.advance();
  }
  __device__ __forceinline__ static void shrink(float (&y)[P::kWidth / 2], const float (&factors)[2]) {
#pragma unroll
    for (int i = 0; i < P::kWidth / 2; ++i) y[i] *= factors[i / 2 % 2];
  }

  /// Products into weights. Whether earlier sums are to be multiplied by `factors`.
  __device__ __forceinline__ bool weigh(float (&sums)[P::kTile / 2], SoftmaxRows<P>& rows, const TileNote& note,
                                        int matrix, float (&factors)[2]) const {
    const bool masked = !note.all(group);
    if (!masked) {
      if (!rows.weigh_as_before(sums)) {
        release(memory.empty_keys(at.stage));
        return false;
      }
      wgmma::wait<0>();
      score(sums);
      wgmma::wait<0>();
      wgmma::settle(sums);
    }
    release(memory.empty_keys(at.stage));
    if (masked) rows.hide(sums, s, matrix / s.heads, matrix % s.heads, note.template begin<P::kTile>());
    rows.weigh(sums, masked, factors);
    return true;
  }
  /// All keys of one tile of queries. Tiles that this warpgroup sees one after the other overlap: the next one's
  /// products and weights are made while this one's values are added up.
  __device__ __forceinline__ void attend(SoftmaxRows<P>& rows, int matrix, float (&y)[P::kWidth / 2]) {
    float factors[2];
    std::uint32_t weights[P::kTile / 16][4];
    for (;;) {
      const TileNote note = next();
      if (!note.some(group)) {
        pass();
        if (note.last()) return;
        continue;
      }
      float sums[P::kTile / 2];
      score(sums);
      wgmma::wait<0>();
      wgmma::settle(sums);
      if (weigh(sums, rows, note, matrix, factors)) shrink(y, factors);
      SoftmaxRows<P>::to_halves(sums, weights);
      at.advance();
      bool last = note.last();
      while (!last) {
        const TileNote following = next();
        if (!following.some(group)) break;
        last = following.last();
        float sums[P::kTile / 2];
        score(sums);
        add_values(y, weights);
        wgmma::wait<1>();
        wgmma::settle(sums);
        const bool shrinks = weigh(sums, rows, following, matrix, factors);
        compute_before_wait(rows.sum[0] + rows.sum[1]);
        await_values(y, weights);
        if (shrinks) shrink(y, factors);
        SoftmaxRows<P>::to_halves(sums, weights);
        at.advance();
      }
      add_values(y, weights);
      await_values(y, weights);
      if (last) return;
    }
  }

  __device__ __forceinline__ void store(const float (&y)[P::kWidth / 2], SoftmaxRows<P>& rows, int sequence, int head) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float factor = rows.finish(r, s, sequence, head);
      const int first = static_cast<int>(threadIdx.x) % 4 * 2;
      if (rows.row(r) >= s.sight.queries) continue;
      float* const target = s.y.at(sequence * s.sight.queries + rows.row(r), head) + first;
#pragma unroll
      for (int j = 0; j < P::kWidth / 8; ++j) {
        const float low = factor * y[4 * j + 2 * r], high = factor * y[4 * j + 2 * r + 1];
        const int left = s.value_width - (8 * j + first);
        if (s.in_twos && left >= 2) {
          *reinterpret_cast<float2*>(target + 8 * j) = {low, high};
        } else {
          if (left >= 1) target[8 * j] = low;
          if (left >= 2) target[8 * j + 1] = high;
        }
      }
    }
  }

  __device__ __forceinline__ void run() {
    int matrix, tile_number;
    for (int round = 0;; ++round) {
      memory.full_queries(round).wait(round / 2 % 2);
      const int number = __shfl_sync(0xffffffffu, memory.work(round), 0);
      if (!s.order.find(number, matrix, tile_number)) return;
      const int first = tile_number * P::kQueries;
      const int warp = static_cast<int>(threadIdx.x) % wgmma::kWarpgroup / detail::kWarp;
      SoftmaxRows<P> rows(s, first + kRowsEach * group + 16 * warp);
      float y[P::kWidth / 2] = {};
      queries = memory.queries(round);
      attend(rows, matrix, y);
      release(memory.empty_queries(round));
      store(y, rows, matrix / s.heads, matrix % s.heads);
    }
  }
};

#endif

template <class P>
__global__ void __launch_bounds__(P::kThreads, 1)
    wgmma_kernel(const __grid_constant__ FactorMaps maps, const __grid_constant__ WgmmaAttention s) {
#ifdef NEUROINHIB_WGMMA
  detail::pdl_begin();
  extern __shared__ __align__(1024) unsigned char shared[];
  const AttentionMemory<P> memory{shared};
  if (threadIdx.x == 0) memory.start();
  __syncthreads();
  if (threadIdx.x < wgmma::kWarpgroup) {
    tiles::give_registers<P::kProducerRegisters>();
    if (threadIdx.x < detail::kWarp) bring<P>(memory, maps, s);
  } else {
    tiles::take_registers<P::kConsumerRegisters>();
    const int group = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / wgmma::kWarpgroup, 0) - 1;
    Consumer<P>{memory, s, group}.run();
  }
#endif
}

/// Whether this kernel computes s: on Hopper, in precisions of ten bits, for enough queries of rows that are neither
/// narrow nor wide.
[[nodiscard]] inline bool runs_on_wgmma(const Cuda<float>& cuda, const FlashAttention<float>& s) {
  constexpr Index kNarrow = 24, kWide = 128, kFew = 256;
  const auto fits = [](Index width) { return width > kNarrow && width <= kWide; };
  return cuda.has_wgmma() && !is_exact(cuda, s) && !s.bias && s.scale > 0 && fits(s.key_width) && fits(s.value_width) &&
         s.sight.queries >= kFew;
}

template <class P>
void run_wgmma(Cuda<float>& cuda, const FlashAttention<float>& s) {
  const ArenaScope scope(cuda.device_arena());
  const Visibility& sight = s.sight;
  const HalfFactors factors(cuda, s, padded_width(s));
  const Index matrices = sight.count * s.heads, tiles = (sight.queries + P::kQueries - 1) / P::kQueries;
  int* const taken = cuda.template kernel_memory<int>(1);
  cuda.parallel_for(1, [=] __device__(Index) { *taken = 0; });
  const WorkOrder order{static_cast<int>(matrices), static_cast<int>(tiles), together(s, P::kWidth), true, taken};
  const auto place = static_cast<Index>(reinterpret_cast<std::uintptr_t>(s.y.data) / sizeof(float));
  const WgmmaAttention attention{sight,
                                 static_cast<int>(s.heads),
                                 static_cast<int>(s.value_width),
                                 s.scale,
                                 factors.sizes,
                                 document_ranges(cuda, sight),
                                 order,
                                 s.y,
                                 s.log_sum,
                                 s.entropy,
                                 s.self,
                                 (place | s.y.stride | s.y.head) % 2 == 0};
  const FactorMaps maps{cuda.tensor_map(factors.copies[kQueryFactor], P::kQueries),
                        cuda.tensor_map(factors.copies[kKeyFactor], P::kTile),
                        cuda.tensor_map(factors.copies[kValueFactor], P::kTile)};
  const Index blocks = std::min<Index>(cuda.multiprocessors(), matrices * tiles);
  auto* kernel = wgmma_kernel<P>;
  cuda.allow_shared(kernel, P::kSharedBytes);
  cuda.launch_pdl(dim3(static_cast<unsigned>(blocks)), dim3(P::kThreads), P::kSharedBytes, kernel, maps, attention);
}

}  // namespace neuroinhib::ops::flash
