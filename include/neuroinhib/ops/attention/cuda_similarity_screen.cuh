#pragma once

#include <neuroinhib/ops/attention/cuda_similarity_blocks.cuh>

/// Which units may weigh something, in similarity-inform routing on Hopper.
///
/// Computed: for each unit of a block's share, whether some ⟨q_i, k_j⟩ of integers, with what these may miss, reaches
/// row i's threshold. Units with the queries' own keys always weigh. Where keys have biases, a token's own logit need
/// not be among the largest: thresholds follow the largest logit of the units before.
///
/// Tiles: 128 queries' integers stay in shared memory, 128 numbers of the depth a box; those of 128 keys follow one
/// another, a box a stage.
///
/// Pipeline: while the copy engine fills stages, one warpgroup multiplies and the other, half a unit behind, compares.
///
/// Arithmetic: products of integers of eight bits are exact; comparisons are in float.
namespace neuroinhib::ops::similarity {

#ifdef NEUROINHIB_WGMMA

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
    for (int chunk = 0; chunk < p.screen_chunks; ++chunk) {
      if (fresh) {
        tiles::Barrier& full = memory.queries_full(chunk);
        full.arrive_and_expect(kBoxBytes);
        tiles::load_box(memory.query_box(chunk), maps.q_integers, full, chunk * kDepth, walk.first_query(),
                        walk.sequence);
      }
      memory.screen_empty(at.stage).wait(at.parity);
      tiles::Barrier& full = memory.screen_full(at.stage);
      full.arrive_and_expect(kBoxBytes);
      tiles::load_box(memory.screen_stage(at.stage), maps.k_integers, full, chunk * kDepth, walk.first_key(),
                      walk.sequence);
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
    const int i = walk.first_key() + static_cast<int>(threadIdx.x) % wgmma::kWarpgroup;
    key = KeyNumbers{0, 0, 0, 0, -INFINITY};
    if (walk.more() && i < p.deal.keys) key = p.keys[static_cast<Index>(walk.sequence) * p.deal.keys + i];
  }
  __device__ __forceinline__ void enter_tile() {
    if (walk.at.tile == tile) return;
    if (tile >= 0 && place.lane == 0) memory.queries_empty().arrive();
    tile = walk.at.tile;
    queries_parity ^= 1;
    fetch_queries(p, walk, place, q);
#pragma unroll
    for (int h = 0; h < 2; ++h) reach[h] = q[h].threshold;
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
  /// The products of the unit.
  __device__ __forceinline__ void multiply(int (&sums)[64]) {
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
      wgmma::wait<1>();  // for the stage before
      if (chunk > 0 && place.lane == 0) memory.screen_empty(before).arrive();
      before = at.stage;
      at.advance();
    }
    wgmma::wait<0>();
    settle_integers(sums);
    if (place.lane == 0) memory.screen_empty(before).arrive();
  }
  /// Marks the unit if it may weigh something.
  template <bool Biased>
  __device__ __forceinline__ void compare(const int (&sums)[64], const float* steps, const float (&missed)[2],
                                          int number) {
    const float threshold[2] = {reach[0] - missed[0], reach[1] - missed[1]};
    float largest[2] = {-INFINITY, -INFINITY};
    bool weighs = false;
#pragma unroll
    for (int j = 0; j < kTile / 8; ++j) {
      const float2 two = *reinterpret_cast<const float2*>(steps + 8 * j + place.column());
      const float2 biases = *reinterpret_cast<const float2*>(steps + kTile + 8 * j + place.column());
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int h = i / 2;
        float product = __int2float_rn(sums[4 * j + i]) * (i % 2 == 0 ? two.x : two.y);
        if constexpr (Biased) {
          product = fmaf(i % 2 == 0 ? biases.x : biases.y, q[h].logit, product);
          largest[h] = fmaxf(largest[h], product);
        }
        weighs |= !(product < threshold[h]);
      }
    }
    if (__any_sync(0xffffffffu, weighs) && place.lane == 0) memory.weighty()[number] = 1;
    if constexpr (Biased) follow(largest, missed);
  }
  /// What weighs something, after a unit whose largest logits are these.
  __device__ __forceinline__ void follow(const float (&largest)[2], const float (&missed)[2]) {
    if (p.s.sight.document != nullptr) return;  // which keys a row sees is not known here
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
    screening.enter_tile();
    const float* const steps = screening.enter_unit(missed);
    const int number = screening.walk.number;
    screening.walk.next();
    screening.seek();
    int sums[64];
    screening.multiply(sums);
    if (p.biased)
      screening.template compare<true>(sums, steps, missed, number);
    else
      screening.template compare<false>(sums, steps, missed, number);
  }
}

#endif

}  // namespace neuroinhib::ops::similarity
