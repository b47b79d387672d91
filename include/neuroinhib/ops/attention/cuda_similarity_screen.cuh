#pragma once

#include <neuroinhib/ops/attention/cuda_similarity_blocks.cuh>

/// Which units may weigh something, in similarity-inform routing on Hopper.
///
/// Computed: for each unit of a block's share, whether some ⟨q_i, k_j⟩ of integers, with what these may miss, reaches
/// row i's threshold. Units with the queries' own keys always weigh. Where keys have biases, a token's own logit need
/// not be among the largest: thresholds follow the largest logit of the units before, and the unit of the key with the
/// largest bias is looked at before all others.
///
/// Tiles: 128 queries' integers stay in shared memory, 128 numbers of the depth a box; those of 128 keys follow one
/// another, a box a stage.
///
/// Pipeline: while the copy engine fills stages, one warpgroup multiplies and the other, half a unit behind, compares.
///
/// Arithmetic: products of integers of eight bits are exact; comparisons are in float.
namespace neuroinhib::ops::similarity {

#ifdef NEUROINHIB_WGMMA

/// Finds the foremost unit; all threads of the block.
template <class P>
__device__ void find_foremost(const Memory<P>& memory, const Problem& p) {
  const Walk walk(p.deal, memory.share());
  const KeyNumbers* const keys = p.keys + static_cast<Index>(walk.sequence) * p.deal.keys;
  float best = -INFINITY;
  int at = -1;
  const auto take = [&](float bias, int key) {
    if (bias > best || (bias == best && key >= 0 && key < at)) best = bias, at = key;
  };
#pragma unroll 4
  for (int key = static_cast<int>(threadIdx.x); key < walk.first_own() * kTile; key += P::kThreads)
    take(keys[key].bias, key);
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    take(__shfl_xor_sync(0xffffffffu, best, step), __shfl_xor_sync(0xffffffffu, at, step));
  auto* const of_warps = reinterpret_cast<float2*>(memory.steps(0, 0));
  if (threadIdx.x % detail::kWarp == 0) of_warps[threadIdx.x / detail::kWarp] = {best, __int_as_float(at)};
  __syncthreads();
  for (int warp = 0; warp < P::kThreads / detail::kWarp; ++warp)
    take(of_warps[warp].x, __float_as_int(of_warps[warp].y));
  if (threadIdx.x == 0) memory.foremost() = at < 0 ? -1 : at / kTile;
  __syncthreads();
}

/// Brings the queries of each tile, and its units' keys.
template <class P>
__device__ void produce_screened(const Memory<P>& memory, const Problem& p, const Maps& maps) {
  gemm::StageCursor<P::kScreenStages> at{0, 1};
  unsigned queries_parity = 1;
  int tile = -1;
  for (Walk walk(p.deal, memory.share()); walk.more(); walk.next()) {
    if (walk.own()) continue;
    const bool fresh = walk.at.tile != tile;
    if (fresh) {
      memory.queries_empty().wait(queries_parity);
      queries_parity ^= 1;
      tile = walk.at.tile;
    }
    const int ahead = fresh && memory.looks_ahead(walk) ? p.screen_chunks : 0;
    for (int step = 0; step < ahead + p.screen_chunks; ++step) {
      const int chunk = step < ahead ? step : step - ahead;
      if (fresh && step < p.screen_chunks) {
        tiles::Barrier& full = memory.queries_full(chunk);
        full.arrive_and_expect(kBoxBytes);
        tiles::load_box(memory.query_box(chunk), maps.q_integers, full, chunk * kDepth, walk.first_query(),
                        walk.sequence);
      }
      memory.screen_empty(at.stage).wait(at.parity);
      tiles::Barrier& full = memory.screen_full(at.stage);
      full.arrive_and_expect(kBoxBytes);
      tiles::load_box(memory.screen_stage(at.stage), maps.k_integers, full, chunk * kDepth,
                      step < ahead ? memory.foremost() * kTile : walk.first_key(), walk.sequence);
      at.advance();
    }
  }
}

/// sums [64, 128] (+)= a [64, 32] b [32, 128] in integers of eight bits, depth inside.
__device__ __forceinline__ void multiply_integers(int (&d)[64], std::uint64_t a, std::uint64_t b, bool add) {
#define NEUROINHIB_FOUR(i) "+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3])
#define NEUROINHIB_SIXTEEN(i) \
  NEUROINHIB_FOUR(i), NEUROINHIB_FOUR(i + 4), NEUROINHIB_FOUR(i + 8), NEUROINHIB_FOUR(i + 12)
  asm volatile(
      "{ .reg .pred add; setp.ne.b32 add, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {" NEUROINHIB_TEXT_64 "}, %64, %65, add; }"
      : NEUROINHIB_SIXTEEN(0), NEUROINHIB_SIXTEEN(16), NEUROINHIB_SIXTEEN(32), NEUROINHIB_SIXTEEN(48)
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
#undef NEUROINHIB_SIXTEEN
#undef NEUROINHIB_FOUR
}
__device__ __forceinline__ void settle_integers(int (&sums)[64]) {
#pragma unroll
  for (int& sum : sums) asm volatile("" : "+r"(sum)::"memory");
}

/// A warpgroup's walk over the units that are screened.
template <class P>
struct Screening {
  const Memory<P>& memory;
  const Problem& p;
  const Place place;
  Walk walk;
  gemm::StageCursor<P::kScreenStages> at{};
  int tile = -1, turn = 0;
  unsigned queries_parity = 1;
  QueryNumbers q[2];
  float reach[2];  ///< what weighs something, if integers are exact
  KeyNumbers key;  ///< this thread's of the unit's

  __device__ Screening(const Memory<P>& shared, const Problem& problem)
      : memory(shared), p(problem), walk(problem.deal, shared.share()) {
    seek();
  }
  /// Goes on to the next unit that is screened, marks those before, which are not, and asks for its keys.
  __device__ __forceinline__ void seek() {
    for (; walk.more() && walk.own(); walk.next())
      if (place.row == 0 && place.lane == 0) memory.weighty()[walk.number] = 1;
    if (walk.more()) ask_for(walk.at.key);
  }
  /// Asks for this thread's key of a unit.
  __device__ __forceinline__ void ask_for(int unit) {
    const int i = unit * kTile + static_cast<int>(threadIdx.x) % wgmma::kWarpgroup;
    key = KeyNumbers{0, 0, 0, 0, -INFINITY};
    if (i < p.deal.keys) key = p.keys[static_cast<Index>(walk.sequence) * p.deal.keys + i];
  }
  /// Whether the walk has come to another tile.
  __device__ __forceinline__ bool enter_tile() {
    if (walk.at.tile == tile) return false;
    if (tile >= 0 && place.lane == 0) memory.queries_empty().arrive();
    tile = walk.at.tile;
    queries_parity ^= 1;
    fetch_queries(p, walk, place, q);
#pragma unroll
    for (int h = 0; h < 2; ++h) reach[h] = q[h].threshold;
    return true;
  }
  /// Looks at the foremost unit, for what it takes to weigh something.
  __device__ __forceinline__ void look_ahead() {
    ask_for(memory.foremost());
    int sums[64];
    const int stage = multiply(sums);
    float missed[2];
    const float* const steps = enter_unit(missed);
    finish(sums, stage);
    (void)compare<true>(sums, steps, missed);
    ask_for(walk.at.key);
  }
  /// Steps and biases of the unit's keys, and what integers may miss in this thread's rows. Keys that are not there
  /// weigh nothing.
  __device__ __forceinline__ const float* enter_unit(float (&missed)[2]) {
    float* const steps = memory.steps(place.warpgroup, turn++);
    auto* const largest = reinterpret_cast<float2*>(steps + 2 * kTile);  // norm and error, of each warp
    const int thread = static_cast<int>(threadIdx.x) % wgmma::kWarpgroup;
    steps[thread] = key.step;
    steps[kTile + thread] = key.bias;
    float norm = detail::warp_max(key.norm), error = detail::warp_max(key.error);
    if (place.lane == 0) largest[thread / detail::kWarp] = {norm, error};
    meet(2 + place.warpgroup, wgmma::kWarpgroup);
#pragma unroll
    for (int warp = 0; warp < 4; ++warp) norm = fmaxf(norm, largest[warp].x), error = fmaxf(error, largest[warp].y);
#pragma unroll
    for (int h = 0; h < 2; ++h) missed[h] = q[h].error * norm + q[h].size * error;
    return steps;
  }
  /// Issues the products of the unit, and waits for all but the last of the depth. Returns its stage.
  __device__ __forceinline__ int multiply(int (&sums)[64]) {
    int before = 0;
    settle_integers(sums);
    for (int chunk = 0; chunk < p.screen_chunks; ++chunk) {
      memory.queries_full(chunk).wait(queries_parity);
      memory.screen_full(at.stage).wait(at.parity);
      const std::uint64_t a = name_rows(memory.query_box(chunk), 64 * place.warpgroup),
                          b = name_rows(memory.screen_stage(at.stage), 0);
      wgmma::order();
#pragma unroll
      for (int k = 0; k < 4; ++k) multiply_integers(sums, a + 2 * k, b + 2 * k, chunk + k > 0);
      wgmma::commit();
      if (chunk > 0) {
        wgmma::wait<1>();  // for the stage before
        if (place.lane == 0) memory.screen_empty(before).arrive();
      }
      before = at.stage;
      at.advance();
    }
    return before;
  }
  /// Waits for the last.
  __device__ __forceinline__ void finish(int (&sums)[64], int stage) const {
    wgmma::wait<0>();
    settle_integers(sums);
    if (place.lane == 0) memory.screen_empty(stage).arrive();
  }
  /// Whether the unit may weigh something, of this warp's rows.
  template <bool Biased>
  __device__ __forceinline__ bool compare(const int (&sums)[64], const float* steps, const float (&missed)[2]) {
    float largest[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int j = 0; j < kTile / 8; ++j) {
      const float2 two = *reinterpret_cast<const float2*>(steps + 8 * j + place.column());
      const float2 biases = *reinterpret_cast<const float2*>(steps + kTile + 8 * j + place.column());
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int h = i / 2;
        const float product = __int2float_rn(sums[4 * j + i]) * (i % 2 == 0 ? two.x : two.y);
        largest[h] = fmaxf(largest[h], Biased ? fmaf(i % 2 == 0 ? biases.x : biases.y, q[h].logit, product) : product);
      }
    }
    const bool weighs = !(largest[0] < reach[0] - missed[0] && largest[1] < reach[1] - missed[1]);  // or is not finite
    if constexpr (Biased) follow(largest, missed);
    return __any_sync(0xffffffffu, weighs);
  }
  /// What weighs something, after a unit whose largest logits are these.
  __device__ __forceinline__ void follow(const float (&largest)[2], const float (&missed)[2]) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float highest = fmaxf(largest[h], __shfl_xor_sync(0xffffffffu, largest[h], 1));
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, 2));
      reach[h] = fmaxf(reach[h], highest - missed[h] - p.margin * q[h].logit);
    }
  }
};

/// Marks the units of the share that may weigh something. The second warpgroup begins later than the first, so that one
/// multiplies while the other compares.
template <class P>
__device__ void screen(const Memory<P>& memory, const Problem& p) {
  Screening<P> screening(memory, p);
  if (screening.place.warpgroup == 1) __nanosleep(500);
  while (screening.walk.more()) {
    float missed[2];
    if (screening.enter_tile() && memory.looks_ahead(screening.walk)) screening.look_ahead();
    int sums[64];
    const int stage = screening.multiply(sums);
    const float* const steps = screening.enter_unit(missed);
    const int number = screening.walk.number;
    screening.walk.next();
    screening.seek();
    screening.finish(sums, stage);
    const bool weighs = p.biased ? screening.template compare<true>(sums, steps, missed)
                                 : screening.template compare<false>(sums, steps, missed);
    if (weighs && screening.place.lane == 0) memory.weighty()[number] = 1;
  }
}

#endif

}  // namespace neuroinhib::ops::similarity
