#pragma once

#include <neuroinhib/ops/attention/cuda_wgmma.cuh>

/// Flash attention, backward, on Hopper's matrix unit: rows up to 128 wide, without biases.
///
/// Computed: P = exp(scale · q kᵀ − log_sum) again, dS = P ∘ (dy vᵀ − delta), and dq = scale · dS k in a pass over
/// queries, dk = scale · dSᵀ q and dv = Pᵀ dy in a pass over keys. No sum is shared between blocks.
///
/// Tiles: a block's two multiplying warpgroups have 64 own rows each (queries, or in the other pass keys), which stay
/// in shared memory with their values (dy, or v); the others and theirs come a tile at a time:
///
///                   ◀── others, 32 to 128 a tile
///               ──┬─────┬─────┬─────┐
///   warpgroup 1   │     │     │  ╲  │    weights and slopes of a tile are made in registers, and from there they are
///   warpgroup 2   │     │     │   ╲ │    the left factors of what is added to the own rows' gradients
///               ──┴─────┴─────┴─────┘
///
/// Pipeline: a warp of warpgroup 0 has the copy engine bring own rows, and others as long as a stage is empty. A
/// multiplying warpgroup issues a tile's two products, makes weights and slopes of them, and issues what they are added
/// up by, which the next tile's products follow at once. Blocks take the next tile of own rows that no block has.
///
/// Arithmetic: factors in scaled two-byte floats (cuda_halves.cuh), sums in float. A weight is 2¹⁴ P. Slopes are scaled
/// by the power of two that brings the bound 2 · width · max |dy| · max |v| below 2¹⁵: they keep ten bits down to 2⁻²⁹
/// of the bound.
namespace neuroinhib::ops::flash {

inline constexpr float kGradientExponent = 14;  ///< weights are two-byte floats times 2 to the power of this

/// For rows up to Width wide: own rows are queries, or ByKeys keys.
template <int Width, bool ByKeys>
struct GradientPlan {
  static constexpr bool kByKeys = ByKeys;
  static constexpr int kWidth = Width, kPanels = Width / 64;
  static constexpr int kConsumers = Width == 64 && !ByKeys ? 3 : 2, kOwn = kRowsEach * kConsumers;
  static constexpr int kTile = Width == 64 ? (ByKeys ? 80 : 64) : (ByKeys ? 48 : 96);
  static constexpr int kThreads = (1 + kConsumers) * wgmma::kWarpgroup;
  static constexpr int kProducerRegisters = kConsumers == 3 ? 32 : 40, kConsumerRegisters = kConsumers == 3 ? 160 : 232;
  using Own = SwizzledRows<kOwn, kPanels>;
  using Others = SwizzledRows<kTile, kPanels>;
  static constexpr int kStageBytes = 2 * Others::kBytes + (ByKeys ? 2 * kTile * 4 : 0);
  static constexpr int kOwnBytes = 2 * Own::kBytes, kStages = std::min(4, (kMaxShared - 2 * kOwnBytes) / kStageBytes);
  static constexpr int kSharedBytes = 2 * kOwnBytes + kStages * kStageBytes + (2 * kStages + 4) * 8 + 4 * kStages + 8;
};

/// What a kernel needs besides factors.
struct WgmmaGradient {
  Visibility sight;
  int heads, key_width, value_width;
  float scale;
  const FactorSize* sizes;
  const DocumentRange* ranges;
  WorkOrder order;
  int padded;  ///< queries of a sequence, filled up by a tile or more
  /// [sequence · heads + head, padded]: log-sums to base 2 less 14, infinite behind the last; deltas times the slopes'
  /// scale and 2⁻¹⁴.
  const float *log_sums, *deltas;
  HeadSlot<float> dq, dk, dv;
};
/// Queries or keys, and dy or values.
struct GradientMaps {
  CUtensorMap own, own_values, others, other_values;
};

/// The power of two that slopes are multiplied by.
__device__ inline float slope_scale(const FactorSize* sizes, int value_width) {
  return scale_for(2.f * static_cast<float>(value_width) * sizes[kSlopeFactor].largest * sizes[kValueFactor].largest);
}

/// The shared memory of a block: two tiles of own rows and values by turns, and stages of others, their values and, if
/// they are queries, log-sums and deltas.
template <class P>
struct GradientMemory {
  unsigned char* base;

  __device__ unsigned char* own(int round) const { return base + round % 2 * P::kOwnBytes; }
  __device__ unsigned char* own_values(int round) const { return own(round) + P::Own::kBytes; }
  __device__ unsigned char* others(int stage) const { return base + 2 * P::kOwnBytes + stage * 2 * P::Others::kBytes; }
  __device__ unsigned char* other_values(int stage) const { return others(stage) + P::Others::kBytes; }
  __device__ float* log_sums(int stage) const {
    return reinterpret_cast<float*>(others(P::kStages)) + stage * (P::kByKeys ? 2 * P::kTile : 0);
  }
  __device__ float* deltas(int stage) const { return log_sums(stage) + P::kTile; }
  __device__ tiles::Barrier& full(int stage) const {
    return reinterpret_cast<tiles::Barrier*>(log_sums(P::kStages))[stage];
  }
  __device__ tiles::Barrier& empty(int stage) const { return full(P::kStages + stage); }
  __device__ tiles::Barrier& full_own(int round) const { return full(2 * P::kStages + round % 2); }
  __device__ tiles::Barrier& empty_own(int round) const { return full(2 * P::kStages + 2 + round % 2); }
  __device__ TileNote& note(int stage) const { return reinterpret_cast<TileNote*>(&full(2 * P::kStages + 4))[stage]; }
  /// The number of a round's tile of own rows.
  __device__ int& work(int round) const { return reinterpret_cast<int*>(&note(P::kStages))[round % 2]; }
};

#ifdef NEUROINHIB_WGMMA

/// The warp that has rows brought.
template <class P>
__device__ void bring_pairs(const GradientMemory<P>& memory, const GradientMaps& maps, const WgmmaGradient& g) {
  const bool issues = threadIdx.x == 0;
  gemm::StageCursor<P::kStages> at{0, 1};  // all stages are empty
  int matrix, tile_number;
  for (int round = 0;; ++round) {
    const int number = __shfl_sync(0xffffffffu, issues ? g.order.draw(round) : 0, 0);
    const bool any = g.order.find(number, matrix, tile_number);
    if (issues) {
      memory.empty_own(round).wait(round / 2 % 2 ^ 1);
      memory.work(round) = number;
      if (!any) memory.full_own(round).arrive();
    }
    if (!any) return;
    const int sequence = matrix / g.heads, first = tile_number * P::kOwn;
    if (issues) {
      tiles::Barrier& full = memory.full_own(round);
      full.arrive_and_expect(P::kOwnBytes);
      P::Own::load(memory.own(round), maps.own, full, first, matrix);
      P::Own::load(memory.own_values(round), maps.own_values, full, first, matrix);
    }
    TileList<P::kConsumers, P::kTile, P::kByKeys> tiles(g.sight, ranges_of(g.sight, g.ranges, sequence), first);
    TileNote note{};
    do {
      note = tiles.next();
      if (issues) {
        const int begin = note.template begin<P::kTile>();
        memory.empty(at.stage).wait(at.parity);
        memory.note(at.stage) = note;
        tiles::Barrier& full = memory.full(at.stage);
        full.arrive_and_expect(P::kStageBytes);
        P::Others::load(memory.others(at.stage), maps.others, full, begin, matrix);
        P::Others::load(memory.other_values(at.stage), maps.other_values, full, begin, matrix);
        if constexpr (P::kByKeys) {
          const Index place = static_cast<Index>(matrix) * g.padded + begin;
          tiles::load_bytes(memory.log_sums(at.stage), g.log_sums + place, full, P::kTile * 4);
          tiles::load_bytes(memory.deltas(at.stage), g.deltas + place, full, P::kTile * 4);
        }
      }
      at.advance();
    } while (!note.last());
  }
}

/// A warpgroup that multiplies.
template <class P>
struct GradientConsumer {
  using Own = typename P::Own;
  using Others = typename P::Others;
  static constexpr auto kDepth = wgmma::Major::depth, kLines = wgmma::Major::lines;
  static constexpr int kSums = P::kTile / 2, kResults = P::kWidth / 2, kSteps = P::kTile / 16;
  using Products = float[kSums];
  using Fragments = std::uint32_t[kSteps][4];

  const GradientMemory<P>& memory;
  const WgmmaGradient& g;
  int group;  ///< among those that multiply
  gemm::StageCursor<P::kStages> at{};
  float factor = 0, slope_factor = 0;    ///< of products: to make logits to base 2, and slopes
  int row = 0;                           ///< the thread's first own row; the other is 8 further
  float log_sum[2] = {}, delta[2] = {};  ///< of own queries

  /// Issues products of own rows with others, both in shared memory.
  __device__ __forceinline__ void multiply(Products& sums, const unsigned char* own,
                                           const unsigned char* others) const {
    const std::uint64_t a = Own::template name<kDepth>(own, kRowsEach * group),
                        b = Others::template name<kDepth>(others, 0);
    wgmma::settle(sums);
    wgmma::order();
#pragma unroll
    for (int i = 0; i < P::kWidth / 16; ++i)
      wgmma::multiply<__half, kDepth, kDepth>(sums, a + Own::template step<kDepth>(i),
                                              b + Others::template step<kDepth>(i), i > 0);
    wgmma::commit();
  }
  /// Issues results += pairs · others.
  __device__ __forceinline__ void add(float (&results)[kResults], const Fragments& pairs,
                                      const unsigned char* others) const {
    const std::uint64_t b = Others::template name<kLines>(others, 0);
    wgmma::order();
#pragma unroll
    for (int k = 0; k < kSteps; ++k)
      wgmma::multiply<__half, kLines>(results, pairs[k], b + Others::template step<kLines>(k), true);
    wgmma::commit();
  }
  __device__ __forceinline__ static void to_halves(const Products& numbers, Fragments& pairs) {
#pragma unroll
    for (int k = 0; k < kSteps; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) pairs[k][i] = pair_of_halves(numbers[8 * k + 2 * i], numbers[8 * k + 2 * i + 1]);
  }
  __device__ void release(tiles::Barrier& barrier) const {
    if (threadIdx.x % detail::kWarp == 0) barrier.arrive();
  }

  /// Of a product's place in the thread's sums: its own row, and its query's log-sum or delta.
  __device__ __forceinline__ float of_query(const float (&own)[2], const float* others, int i) const {
    if constexpr (P::kByKeys)
      return others[i / 4 * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + i % 2];
    else
      return own[i / 2 % 2];
  }
  /// Logits' products into weights.
  __device__ __forceinline__ void weigh(Products& products) const {
#pragma unroll
    for (int i = 0; i < kSums; ++i)
      products[i] = power_of_two(fmaf(products[i], factor, -of_query(log_sum, memory.log_sums(at.stage), i)));
  }
  /// Products of values into slopes.
  __device__ __forceinline__ void make_slopes(Products& products, const Products& weights) const {
#pragma unroll
    for (int i = 0; i < kSums; ++i)
      products[i] = weights[i] * fmaf(products[i], slope_factor, -of_query(delta, memory.deltas(at.stage), i));
  }

  /// All others of one tile of own rows. What a tile adds to the own rows' gradients is still under way when the next
  /// tile's products are issued.
  __device__ __forceinline__ void attend(int round, int sequence, float (&of_rows)[kResults],
                                         float (&of_values)[kResults]) {
    Products weights, slopes;
    Fragments of_weights{}, of_slopes{};
    bool pending = false;
    TileNote note{};
    wgmma::settle(of_rows);
    if constexpr (P::kByKeys) wgmma::settle(of_values);
    do {
      memory.full(at.stage).wait(at.parity);
      note = {__shfl_sync(0xffffffffu, memory.note(at.stage).word, 0)};
      if (note.some(group)) {
        multiply(weights, memory.own(round), memory.others(at.stage));
        multiply(slopes, memory.own_values(round), memory.other_values(at.stage));
        wgmma::wait<1>();
        wgmma::settle(weights);
        if constexpr (P::kByKeys) hold(of_weights);
        hold(of_slopes);
        if (pending) release(memory.empty(at.before().stage));
        pending = true;
        if (!note.all(group)) hide_pairs<P::kByKeys>(weights, g.sight, sequence, row, note.template begin<P::kTile>());
        weigh(weights);
        if constexpr (P::kByKeys) {
          to_halves(weights, of_weights);
          add(of_values, of_weights, memory.other_values(at.stage));
          wgmma::wait<1>();
        } else {
          compute_before_wait(weights[kSums / 4] + weights[kSums / 2] + weights[kSums / 4 * 3] + weights[kSums - 1]);
          wgmma::wait<0>();
        }
        wgmma::settle(slopes);
        make_slopes(slopes, weights);
        to_halves(slopes, of_slopes);
        add(of_rows, of_slopes, memory.others(at.stage));
      } else {
        if (pending) {
          wgmma::wait<0>();
          release(memory.empty(at.before().stage));
        }
        pending = false;
        release(memory.empty(at.stage));
      }
      at.advance();
    } while (!note.last());
    wgmma::wait<0>();
    wgmma::settle(of_rows);
    hold(of_slopes);
    if constexpr (P::kByKeys) {
      wgmma::settle(of_values);
      hold(of_weights);
    }
    if (pending) release(memory.empty(at.before().stage));
  }

  /// slot's rows of this tile = factor · results.
  __device__ __forceinline__ void store(const HeadSlot<float>& slot, const float (&results)[kResults], float scale,
                                        int width, int sequence, int head) const {
    if (!slot) return;
    const Index rows = P::kByKeys ? g.sight.keys : g.sight.queries,
                first = sequence * (P::kByKeys ? g.sight.key_rows : g.sight.queries);
#pragma unroll
    for (int i = 0; i < kResults; ++i) {
      const int own = row + i / 2 % 2 * 8, column = i / 4 * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + i % 2;
      if (own < rows && column < width) slot.put(first + own, head, column, scale * results[i]);
    }
  }

  __device__ void begin(int matrix, int first) {
    row = first + kRowsEach * group + static_cast<int>(threadIdx.x) % wgmma::kWarpgroup / 32 * 16 +
          static_cast<int>(threadIdx.x) % 32 / 4;
    if constexpr (!P::kByKeys) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const Index place = static_cast<Index>(matrix) * g.padded + row + 8 * r;
        log_sum[r] = row + 8 * r < g.padded ? g.log_sums[place] : INFINITY;
        delta[r] = row + 8 * r < g.padded ? g.deltas[place] : 0.f;
      }
    }
  }
  __device__ __forceinline__ void run() {
    const float of_values_scale = exp2f(-kGradientExponent) * g.sizes[kSlopeFactor].inverse;
    const float scale = slope_scale(g.sizes, g.value_width);
    factor = logit_factor(g.scale, g.sizes);
    slope_factor = scale * of_values_scale * g.sizes[kValueFactor].inverse;
    int matrix, tile_number;
    for (int round = 0;; ++round) {
      memory.full_own(round).wait(round / 2 % 2);
      const int number = __shfl_sync(0xffffffffu, memory.work(round), 0);
      if (!g.order.find(number, matrix, tile_number)) return;
      begin(matrix, tile_number * P::kOwn);
      float of_rows[kResults] = {}, of_values[kResults] = {};
      attend(round, matrix / g.heads, of_rows, of_values);
      release(memory.empty_own(round));
      const int sequence = matrix / g.heads, head = matrix % g.heads;
      const float of_others = g.sizes[P::kByKeys ? kQueryFactor : kKeyFactor].inverse;
      store(P::kByKeys ? g.dk : g.dq, of_rows, g.scale / scale * of_others, g.key_width, sequence, head);
      if constexpr (P::kByKeys) store(g.dv, of_values, of_values_scale, g.value_width, sequence, head);
    }
  }
};

#endif

template <class P>
__global__ void __launch_bounds__(P::kThreads, 1)
    wgmma_gradient_kernel(const __grid_constant__ GradientMaps maps, const __grid_constant__ WgmmaGradient g) {
#ifdef NEUROINHIB_WGMMA
  detail::pdl_begin();
  extern __shared__ __align__(1024) unsigned char shared[];
  const GradientMemory<P> memory{shared};
  if (threadIdx.x == 0) start_barriers<P>(memory);
  __syncthreads();
  if (threadIdx.x < wgmma::kWarpgroup) {
    tiles::give_registers<P::kProducerRegisters>();
    if (threadIdx.x < detail::kWarp) bring_pairs<P>(memory, maps, g);
  } else {
    tiles::take_registers<P::kConsumerRegisters>();
    const int group = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / wgmma::kWarpgroup, 0) - 1;
    GradientConsumer<P>{memory, g, group}.run();
  }
#endif
}

/// Whether these kernels compute the gradient: where dy and v bound the slopes, which are scaled by that bound.
[[nodiscard]] inline bool gradient_runs_on_wgmma(const Cuda<float>& cuda, const FlashAttention<float>& s,
                                                 const FlashGradient<float>& g) {
  return runs_on_wgmma(cuda, s) && g.label == nullptr && !g.dbias && !g.row_sum && !g.of_log_sum;
}

/// One pass.
template <class P>
void run_wgmma_pass(Cuda<float>& cuda, const HalfFactors& factors, WgmmaGradient g) {
  const auto map = [&](Factor factor, int rows) {
    return cuda.tensor_map(factors.copies[static_cast<std::size_t>(factor)], rows);
  };
  const GradientMaps maps{
      map(P::kByKeys ? kKeyFactor : kQueryFactor, P::kOwn), map(P::kByKeys ? kValueFactor : kSlopeFactor, P::kOwn),
      map(P::kByKeys ? kQueryFactor : kKeyFactor, P::kTile), map(P::kByKeys ? kSlopeFactor : kValueFactor, P::kTile)};
  const Index own = P::kByKeys ? g.sight.keys : g.sight.queries;
  g.order.tiles = static_cast<int>((own + P::kOwn - 1) / P::kOwn);
  g.order.last_first = !P::kByKeys;
  if (P::kByKeys) ++g.order.taken;
  const Index blocks = std::min<Index>(cuda.multiprocessors(), static_cast<Index>(g.order.matrices) * g.order.tiles);
  auto* kernel = wgmma_gradient_kernel<P>;
  cuda.allow_shared(kernel, P::kSharedBytes);
  cuda.launch_pdl(dim3(static_cast<unsigned>(blocks)), dim3(P::kThreads), P::kSharedBytes, kernel, maps, g);
}

/// The pass over queries comes first: q and k may be the same rows, and then dk is added to dq.
template <int Width>
void run_wgmma_backward(Cuda<float>& cuda, const FlashAttention<float>& s, const FlashGradient<float>& gradient) {
  const ArenaScope scope(cuda.device_arena());
  const Visibility& sight = s.sight;
  const HalfFactors factors(cuda, s, padded_width(s), gradient.dy);
  const Index heads = s.heads, matrices = sight.count * heads, padded = (sight.queries + 191) / 64 * 64;
  float *const log_sums = cuda.template kernel_memory<float>(matrices * padded), *const deltas =
                                                                                     cuda.template kernel_memory<float>(
                                                                                         matrices * padded);
  int* const taken = cuda.template kernel_memory<int>(2);  // by queries and by keys
  const HeadRows<const float> log_sum = gradient.log_sum, delta = gradient.delta;
  const FactorSize* const sizes = factors.sizes;
  const int value_width = static_cast<int>(s.value_width);
  cuda.parallel_grid(matrices, padded, [=] __device__(Index matrix, Index query) {
    const Index row = matrix / heads * sight.queries + query, head = matrix % heads, place = matrix * padded + query;
    const bool there = query < sight.queries;
    if (place < 2) taken[place] = 0;
    log_sums[place] = there ? *log_sum.at(row, head) * 1.4426950408889634f - kGradientExponent : INFINITY;
    deltas[place] = there ? *delta.at(row, head) * slope_scale(sizes, value_width) * exp2f(-kGradientExponent) : 0.f;
  });
  const WgmmaGradient g{sight,
                        static_cast<int>(heads),
                        static_cast<int>(s.key_width),
                        value_width,
                        s.scale,
                        sizes,
                        document_ranges(cuda, sight),
                        {static_cast<int>(matrices), 0, together(s, Width), false, taken},
                        static_cast<int>(padded),
                        log_sums,
                        deltas,
                        gradient.dq,
                        gradient.dk,
                        gradient.dv};
  if (g.dq) run_wgmma_pass<GradientPlan<Width, false>>(cuda, factors, g);
  if (g.dk || g.dv) run_wgmma_pass<GradientPlan<Width, true>>(cuda, factors, g);
}

}  // namespace neuroinhib::ops::flash
