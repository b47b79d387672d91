#pragma once

#include <neuroinhib/ops/gemm/cuda_stages.cuh>

/// Products of experts in bf16 on Hopper's matrix unit.
///
/// Computed: C_g [m, n] = Σ_k A_g[m, k] B_g[k, n] for groups g that divide either the rows of A and C, or the sum. What
/// becomes of C is the epilogue's business.
///
/// Tiles: a block computes 128 × N results, two warpgroups 64 × N each, from stages of 64 along the depth:
///
///            N columns of B
///            ┌───────────────┐
///   64 rows  │ warpgroup 1   │    a stage: A 128 × 64 (16 KB), B 64 × N (32 KB for N = 256)
///   64 rows  │ warpgroup 2   │
///            └───────────────┘
///
/// Blocks come in pairs, on neighbouring multiprocessors, whose tiles share B or A (cuda_tile_order.cuh): each brings
/// half of it, to both.
///
/// Pipeline: warpgroup 0 fills stages, as long as one is empty in both blocks: its first thread has the copy engine
/// work, and where A's rows are tokens the whole warpgroup gathers them. The others multiply from full stages, and give
/// a stage back to both blocks when the product after it has been issued. The stages run on across tiles: the next
/// tile's are filled while this one's results are stored.
///
/// Arithmetic: factors in bf16, sums in float, in an order that depends on the extents alone.
namespace neuroinhib::ops::gemm {

#ifdef NEUROINHIB_WGMMA

/// One step of a tile: the stage it goes to, and where it begins in the factors.
struct StageStep {
  int stage, second, depth;
};

/// One thread's part of a stage: what the copy engine brings. Of what the pair of blocks shares each brings half, to
/// both.
template <class P>
__device__ void copy_factors(const BlockMemory<P>& memory, const typename P::Factors& f, const ExpertTile& t,
                             const StageStep& at, int rank) {
  const int matrix = P::kGroups == GroupsOf::rows ? t.group : 0, column = t.column_tile * P::kColumnsEach;
  unsigned char *const stage_a = memory.stage_a(at.stage), *const stage_b = memory.stage_b(at.stage);
  tiles::Barrier& full = memory.full(at.stage);
  full.arrive_and_expect(P::kCopiedBytes);
  if (!P::kGathers && t.shares_b) P::A::load(stage_a, f.a[at.second], full, t.row, at.depth, 0);
  if (!P::kGathers && !t.shares_b) P::A::load_shared(stage_a, f.a[at.second], full, t.row, at.depth, 0, rank);
#pragma unroll
  for (int half = 0; half < P::kMatricesB; ++half) {
    unsigned char* const target = stage_b + half * P::B::kBytes;
    const CUtensorMap& map = f.b[P::kPair == Pair::columns ? half : at.second];
    if (t.shares_b)
      P::B::load_shared(target, map, full, column, at.depth, matrix, rank);
    else
      P::B::load(target, map, full, column, at.depth, matrix);
  }
}

/// The producer: fills stages with all tiles of this block. One thread has the copy engine work; where A is gathered,
/// the whole warpgroup copies it.
template <class P>
__device__ void produce(const BlockMemory<P>& memory, const typename P::Factors& f,
                        const TileOrder<P::kGroups>& order) {
  const int rank = static_cast<int>(blockIdx.x) % 2;
  StageCursor<P::kStages> at{0, 1};  // all stages are empty
  typename TileOrder<P::kGroups>::Cursor cursor;
  ExpertTile t;
  typename P::GatheredA gathered;
  for (int number = static_cast<int>(blockIdx.x) / 2; order.find(number, rank, cursor, t); number += gridDim.x / 2) {
    const int half = P::kPair == Pair::depth ? t.steps / 2 : t.steps;
    const int depth_end = t.depth + t.steps * kTileDepth;
    if (P::kGathers) gathered.find(f.tokens, P::A::kDeep ? t.row : t.depth, P::A::kDeep ? t.row_end : depth_end);
    for (int step = 0; step < t.steps; ++step) {
      const int second = step >= half ? 1 : 0, depth = t.depth + (step - second * half) * kTileDepth;
      memory.empty(at.stage).wait(at.parity);
      if (threadIdx.x == 0) copy_factors<P>(memory, f, t, {at.stage, second, depth}, rank);
      if constexpr (P::kGathers) {
        gathered.load(f.tokens, memory.stage_a(at.stage), P::A::kDeep ? depth : t.row);
        if (!P::A::kDeep) gathered.find(f.tokens, depth + kTileDepth, depth_end);
        memory.full(at.stage).arrive_after_copies();
      }
      at.advance();
    }
  }
}

/// Gives a stage back to the producers of both blocks.
template <class P>
__device__ __forceinline__ void give_back(const BlockMemory<P>& memory, int stage) {
  if (const int lane = static_cast<int>(threadIdx.x) % detail::kWarp; lane < 2) memory.empty(stage).arrive_at(lane);
}

/// A consumer's sums of one tile: 64 rows × kColumns.
template <class P>
__device__ __forceinline__ void sum_tile(float (&sums)[P::kColumns / 2], const BlockMemory<P>& memory,
                                         StageCursor<P::kStages>& at, int steps, int warpgroup) {
  int before = 0;
  wgmma::settle(sums);
  for (int step = 0; step < steps; ++step) {
    memory.full(at.stage).wait(at.parity);
    if constexpr (P::kGathers) wgmma::publish();  // what threads have copied
    const std::uint64_t a = P::A::name(memory.stage_a(at.stage), 64 * warpgroup);
    const std::uint64_t b = P::B::name(memory.stage_b(at.stage), 0);
    wgmma::order();
#pragma unroll
    for (int k = 0; k < kTileDepth / 16; ++k)
      wgmma::multiply<__nv_bfloat16, P::kMajorA, P::kMajorB>(sums, a + (k * P::A::kStep >> 4),
                                                             b + (k * P::B::kStep >> 4), step + k > 0);
    wgmma::commit();
    wgmma::wait<1>();  // for the stage before
    if (step > 0) give_back(memory, before);
    before = at.stage;
    at.advance();
  }
  wgmma::wait<0>();
  wgmma::settle(sums);
  if (steps > 0) give_back(memory, before);
}

/// Gives the stages of a tile back unread.
template <class P>
__device__ void skip_tile(const BlockMemory<P>& memory, StageCursor<P::kStages>& at, int steps) {
  for (int step = 0; step < steps; ++step) {
    memory.full(at.stage).wait(at.parity);
    give_back(memory, at.stage);
    at.advance();
  }
}

/// The consumers: two warpgroups that multiply and hand their sums to the epilogue.
template <class P, class Epilogue>
__device__ void consume(const BlockMemory<P>& memory, const TileOrder<P::kGroups>& order, const Epilogue& epilogue) {
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / detail::kWarp, 0) - 4;
  const int rank = static_cast<int>(blockIdx.x) % 2;
  unsigned char* const scratch = memory.scratch() + warp * (P::kScratchBytes / 8);
  StageCursor<P::kStages> at;
  typename TileOrder<P::kGroups>::Cursor cursor;
  ExpertTile t;
  for (int number = static_cast<int>(blockIdx.x) / 2; order.find(number, rank, cursor, t); number += gridDim.x / 2) {
    if (t.row + 64 * (warp / 4) >= t.row_end) {
      skip_tile<P>(memory, at, t.steps);
      continue;
    }
    float sums[P::kColumns / 2];
    if (t.steps == 0) {
#pragma unroll
      for (float& sum : sums) sum = 0;
    }
    epilogue.template prepare<P::kColumns>(t, t.row + 16 * warp);
    __syncwarp();  // products need whole warps
    sum_tile<P>(sums, memory, at, t.steps, warp / 4);
    epilogue.take(sums, t, t.row + 16 * warp, scratch);
  }
}

#endif

template <class P, class Epilogue>
__global__ void __launch_bounds__(P::kThreads, 1) persistent_kernel(const __grid_constant__ typename P::Factors factors,
                                                                    TileOrder<P::kGroups> order, Epilogue epilogue) {
#ifdef NEUROINHIB_WGMMA
  extern __shared__ __align__(1024) unsigned char stages[];
  const BlockMemory<P> memory{stages};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < P::kStages; ++stage) {
      memory.full(stage).init(P::kProducers);
      memory.empty(stage).init(16);  // warps of both blocks' consumers
    }
    tiles::publish_barriers();
  }
  tiles::meet_pair();
  detail::pdl_begin();
  if (threadIdx.x < wgmma::kWarpgroup) {
    tiles::give_registers<P::kProducerRegisters>();
    if (P::kGathers || threadIdx.x == 0) produce<P>(memory, factors, order);
  } else {
    tiles::take_registers<P::kConsumerRegisters>();
    consume<P>(memory, order, epilogue);
  }
  tiles::meet_pair();  // the other block may still write to this one's memory
#endif
}

/// Runs the plan's kernel on every multiprocessor, two and two.
template <class P, class Epilogue>
void run_persistent(Cuda<float>& cuda, const typename P::Factors& factors, const TileOrder<P::kGroups>& order,
                    const Epilogue& epilogue) {
  auto* kernel = persistent_kernel<P, Epilogue>;
  cuda.allow_shared(kernel, P::kSharedBytes);
  cuda.launch_pairs(dim3(static_cast<unsigned>(cuda.multiprocessors() / 2 * 2)), dim3(P::kThreads), P::kSharedBytes,
                    kernel, factors, order, epilogue);
}

}  // namespace neuroinhib::ops::gemm
