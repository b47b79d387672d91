#pragma once

#include <algorithm>

#include <neuroinhib/backend/cuda_tensor_map.cuh>
#include <neuroinhib/backend/cuda_tiles.cuh>
#include <neuroinhib/ops/gemm/cuda_wgmma_widths.cuh>

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
/// Pipeline: warpgroup 0's first thread has the copy engine fill stages, as long as one is empty; the others multiply
/// from full ones, and give a stage back when the product after it has been issued. A block takes every gridDim-th
/// tile, and the stages run on across tiles: the next tile's are filled while this one's results are stored.
///
/// Arithmetic: factors in bf16, sums in float, in an order that depends on the extents alone.
namespace neuroinhib::ops::gemm {

inline constexpr int kTileRows = 128, kTileDepth = 64, kRowBlock = 64;

/// What groups divide: rows of A and C, or the sum. offsets [groups + 1], multiples of kRowBlock.
enum class GroupsOf { rows, depth };

/// A tile: its group, where it begins, and the steps along its depth.
struct ExpertTile {
  int group, row, row_end, column_tile, depth, steps;
};

/// Deals tiles out in one order for all roles of a block: group after group, and within a group in bands of rows whose
/// blocks share B in the cache.
template <GroupsOf Kind>
struct TileOrder {
  static constexpr int kBand = 16;

  const int* offsets;
  int groups, column_tiles;
  int rows;   ///< of every group, where groups divide the sum
  int steps;  ///< along the depth, where groups divide the rows

  /// The tiles of one role, in order.
  struct Cursor {
    int group = 0, before = 0;  ///< tiles of the groups before
  };
  __device__ bool find(int number, Cursor& cursor, ExpertTile& t) const {
    int begin = 0, end = 0, row_tiles = 0;
    for (;; ++cursor.group) {
      if (cursor.group >= groups) return false;
      begin = offsets[cursor.group], end = offsets[cursor.group + 1];
      row_tiles = ((Kind == GroupsOf::rows ? end - begin : rows) + kTileRows - 1) / kTileRows;
      if (number < cursor.before + row_tiles * column_tiles) break;
      cursor.before += row_tiles * column_tiles;
    }
    const int within = number - cursor.before, band = within / (kBand * column_tiles);
    const int height = min(kBand, row_tiles - band * kBand), place = within - band * kBand * column_tiles;
    const int row = (band * kBand + place % height) * kTileRows;
    t.group = cursor.group;
    t.column_tile = place / height;
    t.row = Kind == GroupsOf::rows ? begin + row : row;
    t.row_end = Kind == GroupsOf::rows ? end : rows;
    t.depth = Kind == GroupsOf::rows ? 0 : begin;
    t.steps = Kind == GroupsOf::rows ? steps : (end - begin) / kTileDepth;
    return true;
  }
};

/// How two pairs of factors make one product.
enum class Pair {
  none,
  columns,  ///< the tile's columns are half of one matrix B and, behind them, the same of another
  depth     ///< the sum goes over a first pair of factors, then over a second
};

/// A factor's part of a stage: Lines along m or n, kTileDepth deep, in rows of 128 bytes, swizzled.
template <wgmma::Major Kind, int Lines>
struct StageFactor {
  static constexpr bool kDeep = Kind == wgmma::Major::depth;
  static constexpr int kBoxes = kDeep ? 1 : (Lines + 63) / 64;
  static constexpr int kBoxRows = kDeep ? Lines : kTileDepth;
  static constexpr int kBytes = kBoxes * kBoxRows * 128;
  static constexpr int kLineBytes = 128;           ///< from one line to the next, where the depth is inside
  static constexpr int kStep = kDeep ? 32 : 2048;  ///< bytes from one product's 16 to the next along the depth

  __device__ static void load(unsigned char* stage, const CUtensorMap& map, tiles::Barrier& full, int line, int depth,
                              int matrix) {
#pragma unroll
    for (int box = 0; box < kBoxes; ++box)
      tiles::load_box(stage + box * kBoxRows * 128, map, full, kDeep ? depth : line + box * 64, kDeep ? line : depth,
                      matrix);
  }
  /// Names the factor that begins at `line`, a multiple of 64, for the matrix unit.
  __device__ static std::uint64_t name(const unsigned char* stage, int line) {
    constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62, kEightRows = 1024 >> 4, kNextBox = 8192 >> 4;
    const unsigned begin = tiles::shared_address(stage) + static_cast<unsigned>(line) * kLineBytes;
    return begin >> 4 | (kDeep ? std::uint64_t{1} : kNextBox) << 16 | kEightRows << 32 | kSwizzle128;
  }
};

/// A kernel's plan: N columns a tile, where the factors' numbers lie side by side, and how pairs are joined.
template <int Columns, wgmma::Major MajorA, wgmma::Major MajorB, Pair Joined, GroupsOf Kind, int ScratchBytes>
struct PersistentPlan {
  static constexpr int kColumns = Columns, kConsumers = 2, kThreads = (1 + kConsumers) * wgmma::kWarpgroup;
  static constexpr Pair kPair = Joined;
  static constexpr GroupsOf kGroups = Kind;
  static constexpr wgmma::Major kMajorA = MajorA, kMajorB = MajorB;
  static constexpr int kColumnsEach = Joined == Pair::columns ? Columns / 2 : Columns;
  using A = StageFactor<MajorA, kTileRows>;
  using B = StageFactor<MajorB, kColumnsEach>;
  static constexpr int kMatricesB = Joined == Pair::columns ? 2 : 1;
  static constexpr int kStageBytes = A::kBytes + kMatricesB * B::kBytes;
  static constexpr int kMaxShared = 232448 - 1024, kScratchBytes = ScratchBytes;
  static constexpr int kStages = std::min(6, (kMaxShared - ScratchBytes) / kStageBytes);
  static constexpr int kSharedBytes = kStages * kStageBytes + ScratchBytes + 2 * kStages * 8;
  static_assert(kStageBytes % 1024 == 0 && kStages >= 3);
  static_assert(Joined != Pair::columns || (MajorB == wgmma::Major::depth && Columns == 256));

  /// The maps of the factors; the second ones only where there is a pair.
  struct Factors {
    CUtensorMap a[2], b[2];
  };
};

/// A stage's number and the parity of its phase.
template <int Stages>
struct StageCursor {
  int stage = 0;
  unsigned parity = 0;
  __device__ void advance() {
    if (++stage == Stages) {
      stage = 0;
      parity ^= 1;
    }
  }
  __device__ StageCursor before() const {
    return {stage == 0 ? Stages - 1 : stage - 1, stage == 0 ? parity ^ 1 : parity};
  }
};

/// The shared memory of a block.
template <class P>
struct BlockMemory {
  unsigned char* base;

  __device__ unsigned char* stage_a(int stage) const { return base + stage * P::kStageBytes; }
  __device__ unsigned char* stage_b(int stage) const { return stage_a(stage) + P::A::kBytes; }
  __device__ unsigned char* scratch() const { return base + P::kStages * P::kStageBytes; }
  __device__ tiles::Barrier& full(int stage) const {
    return reinterpret_cast<tiles::Barrier*>(scratch() + P::kScratchBytes)[stage];
  }
  __device__ tiles::Barrier& empty(int stage) const { return (&full(P::kStages))[stage]; }
};

#ifdef NEUROINHIB_WGMMA

/// The producer: one thread fills stages with all tiles of this block.
template <class P>
__device__ void produce(const BlockMemory<P>& memory, const typename P::Factors& f,
                        const TileOrder<P::kGroups>& order) {
  StageCursor<P::kStages> at{0, 1};  // all stages are empty
  typename TileOrder<P::kGroups>::Cursor cursor;
  ExpertTile t;
  for (int number = static_cast<int>(blockIdx.x); order.find(number, cursor, t); number += gridDim.x) {
    const int matrix = P::kGroups == GroupsOf::rows ? t.group : 0;
    const int column = t.column_tile * P::kColumnsEach;
    const int half = P::kPair == Pair::depth ? t.steps / 2 : t.steps;
    for (int step = 0; step < t.steps; ++step) {
      const int second = step >= half ? 1 : 0, depth = t.depth + (step - second * half) * kTileDepth;
      memory.empty(at.stage).wait(at.parity);
      tiles::Barrier& full = memory.full(at.stage);
      full.arrive_and_expect(P::kStageBytes);
      P::A::load(memory.stage_a(at.stage), f.a[second], full, t.row, depth, 0);
      unsigned char* const stage_b = memory.stage_b(at.stage);
      P::B::load(stage_b, f.b[second], full, column, depth, matrix);
      if constexpr (P::kPair == Pair::columns) P::B::load(stage_b + P::B::kBytes, f.b[1], full, column, depth, matrix);
      at.advance();
    }
  }
}

/// A consumer's sums of one tile: 64 rows × kColumns.
template <class P>
__device__ __forceinline__ void sum_tile(float (&sums)[P::kColumns / 2], const BlockMemory<P>& memory,
                                         StageCursor<P::kStages>& at, int steps, int warpgroup) {
  const bool signals = threadIdx.x % detail::kWarp == 0;
  int before = 0;
  wgmma::settle(sums);
  for (int step = 0; step < steps; ++step) {
    memory.full(at.stage).wait(at.parity);
    const std::uint64_t a = P::A::name(memory.stage_a(at.stage), 64 * warpgroup);
    const std::uint64_t b = P::B::name(memory.stage_b(at.stage), 0);
    wgmma::order();
#pragma unroll
    for (int k = 0; k < kTileDepth / 16; ++k)
      wgmma::multiply<__nv_bfloat16, P::kMajorA, P::kMajorB>(sums, a + (k * P::A::kStep >> 4),
                                                             b + (k * P::B::kStep >> 4), step + k > 0);
    wgmma::commit();
    wgmma::wait<1>();  // for the stage before
    if (step > 0 && signals) memory.empty(before).arrive();
    before = at.stage;
    at.advance();
  }
  wgmma::wait<0>();
  wgmma::settle(sums);
  if (steps > 0 && signals) memory.empty(before).arrive();
}

/// The consumers: two warpgroups that multiply and hand their sums to the epilogue.
template <class P, class Epilogue>
__device__ void consume(const BlockMemory<P>& memory, const TileOrder<P::kGroups>& order, const Epilogue& epilogue) {
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / detail::kWarp, 0) - 4;
  unsigned char* const scratch = memory.scratch() + warp * (P::kScratchBytes / 8);
  StageCursor<P::kStages> at;
  typename TileOrder<P::kGroups>::Cursor cursor;
  ExpertTile t;
  for (int number = static_cast<int>(blockIdx.x); order.find(number, cursor, t); number += gridDim.x) {
    float sums[P::kColumns / 2];
    if (t.steps == 0) {
#pragma unroll
      for (float& sum : sums) sum = 0;
    }
    sum_tile<P>(sums, memory, at, t.steps, warp / 4);
    epilogue.take(sums, t, t.row + 16 * warp, scratch);
  }
}

#endif

template <class P, class Epilogue>
__global__ void __launch_bounds__(P::kThreads, 1) persistent_kernel(const __grid_constant__ typename P::Factors factors,
                                                                    TileOrder<P::kGroups> order, Epilogue epilogue) {
#ifdef NEUROINHIB_WGMMA
  detail::pdl_begin();
  extern __shared__ __align__(1024) unsigned char stages[];
  const BlockMemory<P> memory{stages};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < P::kStages; ++stage) {
      memory.full(stage).init(1);
      memory.empty(stage).init(8);  // warps of consumers
    }
    tiles::publish_barriers();
  }
  __syncthreads();
  if (threadIdx.x < wgmma::kWarpgroup) {
    tiles::give_registers<40>();
    if (threadIdx.x == 0) produce<P>(memory, factors, order);
  } else {
    tiles::take_registers<232>();
    consume<P>(memory, order, epilogue);
  }
#endif
}

/// Runs the plan's kernel on every multiprocessor.
template <class P, class Epilogue>
void run_persistent(Cuda<float>& cuda, const typename P::Factors& factors, const TileOrder<P::kGroups>& order,
                    const Epilogue& epilogue) {
  auto* kernel = persistent_kernel<P, Epilogue>;
  cuda.allow_shared(kernel, P::kSharedBytes);
  cuda.launch_pdl(dim3(static_cast<unsigned>(cuda.multiprocessors())), dim3(P::kThreads), P::kSharedBytes, kernel,
                  factors, order, epilogue);
}

}  // namespace neuroinhib::ops::gemm
