#pragma once

#include <neuroinhib/backend/cuda_tensor_map.cuh>
#include <neuroinhib/backend/cuda_tiles.cuh>
#include <neuroinhib/ops/attention/cuda_similarity_rows.cuh>
#include <neuroinhib/ops/attention/cuda_similarity_shares.cuh>
#include <neuroinhib/ops/gemm/cuda_persistent.cuh>

/// What a block of similarity-inform routing on Hopper has: its part of the problem, its shared memory, its threads.
namespace neuroinhib::ops::similarity {

inline constexpr int kDepth = 64;              ///< halves of a row in a stage; of integers twice as many
inline constexpr int kBoxBytes = kTile * 128;  ///< of 128 rows, 128 bytes each
inline constexpr int kWindow = 8192;           ///< units of a share at the most
inline constexpr int kHeldChunks = 2;          ///< of queries, kDepth each
inline constexpr int kScreenedChunks = 8;      ///< rows up to 1,024 wide are screened
inline constexpr Index kWidestValues = 128;

/// A piece of a row's results: log₂ Σ, entropy, weight on itself.
struct PieceNumbers {
  float log_sum, entropy, self;
};

/// What the kernel computes, and from what.
struct Problem {
  FlashAttention<float> s;
  Dealing deal;
  int chunks;         ///< of the depth, kDepth each
  int screen_chunks;  ///< of the depth, 2 kDepth each; 0 where nothing is screened
  const QueryNumbers* queries;
  const KeyNumbers* keys;
  const float* value_units;  ///< what 1 stands for in each 128 values
  int value_tiles;           ///< of a sequence
  float margin;              ///< logits so far below a row's largest weigh nothing
  bool biased;
  bool same;          ///< queries are keys
  float* piece_rows;  ///< two pieces a share, 128 rows each
  PieceNumbers* piece_numbers;

  /// Whether a unit's queries are its keys.
  [[nodiscard]] __device__ bool same_rows(const Walk& walk) const {
    return same && walk.first_key() == walk.first_query();
  }
};

/// High and low halves, and integers.
struct Maps {
  CUtensorMap q[2], k[2], v[2], q_integers, k_integers;
};

/// Values up to so many; whether low halves count; whether a tile's queries, up to kHeldChunks · kDepth wide, are held
/// in shared memory while its units are weighed.
template <int Values, bool Exact, bool Holds>
struct Plan {
  static constexpr bool kHolds = Holds;
  static constexpr int kValues = Values, kThreads = 3 * wgmma::kWarpgroup;
  static constexpr bool kExact = Exact;
  static constexpr int kParts = Exact ? 2 : 1, kValueBoxes = Values > 64 ? 2 : 1;
  static constexpr int kScreenStages = 5;
  static constexpr int kPartBytes = (Holds ? 1 : 2) * kBoxBytes;  ///< of a stage: high halves, or low ones
  static constexpr int kWeighBytes = 2 * kPartBytes, kWeighStages = Holds ? 4 : 3;
  static constexpr int kHeldBytes = Holds ? kHeldChunks * kWeighBytes : 0;
  static constexpr int kBoxes = kScreenedChunks + kScreenStages;
  static constexpr int kStepNumbers = 2 * kTile + 8, kStepBytes = 2 * 3 * kStepNumbers * 4;
  static constexpr int kBarriers = kScreenedChunks + 1 + 2 * (kScreenStages + kWeighStages + 2);
  static constexpr int kSharedBytes = kBoxes * kBoxBytes + kStepBytes + kWindow + 32 + 8 * kBarriers;
  static_assert(kWeighBytes * kWeighStages + kHeldBytes + kBoxBytes <= kBoxes * kBoxBytes && kSharedBytes <= 232448);
  static_assert(kValueBoxes * kBoxBytes <= kPartBytes);
};

/// What weighing needs of a key, its bias in bits. Documents of padding are told apart: a key's from a query's.
struct alignas(16) WeighedKey {
  float unit, bias;
  int document;
};

/// Shared memory of a block: while it screens, a tile's queries and stages of keys; while it weighs, stages of both.
template <class P>
struct Memory {
  unsigned char* base;

  __device__ unsigned char* query_box(int chunk) const { return base + chunk * kBoxBytes; }
  __device__ unsigned char* screen_stage(int i) const { return query_box(kScreenedChunks + i); }
  __device__ unsigned char* weigh_stage(int i) const { return base + i * P::kWeighBytes; }
  /// A tile's queries, where they are held; else those of a stage.
  __device__ unsigned char* weighed_queries(int stage, int chunk) const {
    return weigh_stage(P::kHolds ? P::kWeighStages + chunk : stage);
  }
  /// A stage's keys; behind queries, where these are not held.
  __device__ unsigned char* weighed_rows(int stage) const { return weigh_stage(stage) + P::kPartBytes - kBoxBytes; }
  /// Of 128 keys, for a warpgroup; taken in turn.
  __device__ WeighedKey* weighed_keys(int warpgroup, int turn) const {
    return reinterpret_cast<WeighedKey*>(weigh_stage(P::kWeighStages) + P::kHeldBytes) +
           (2 * warpgroup + turn % 2) * kTile;
  }
  /// Steps and biases of 128 keys, for a warpgroup, and behind them room for its four warps; taken in turn.
  __device__ float* steps(int warpgroup, int turn) const {
    return reinterpret_cast<float*>(base + P::kBoxes * kBoxBytes) + (3 * warpgroup + turn % 3) * P::kStepNumbers;
  }
  /// Of each of the share's units, whether it may weigh something.
  __device__ unsigned char* weighty() const { return base + P::kBoxes * kBoxBytes + P::kStepBytes; }
  /// Where the share begins and ends.
  __device__ Dealing::Unit (&share() const)[2] { return *reinterpret_cast<Dealing::Unit(*)[2]>(weighty() + kWindow); }
  /// The unit of the key with the largest bias, of those that the share's first tile sees before its own; −1 for none.
  __device__ int& foremost() const { return *reinterpret_cast<int*>(&share() + 1); }
  /// Whether that unit is looked at before the others of a tile that the walk has come to.
  __device__ bool looks_ahead(const Walk& walk) const {
    return foremost() >= 0 && foremost() < walk.first_own() && foremost() != walk.at.key &&
           walk.sequence == share()[0].tile / walk.deal.tiles;
  }
  __device__ tiles::Barrier* barriers() const { return reinterpret_cast<tiles::Barrier*>(&foremost() + 4); }
  __device__ tiles::Barrier& queries_full(int chunk) const { return barriers()[chunk]; }
  __device__ tiles::Barrier& queries_empty() const { return queries_full(kScreenedChunks); }
  __device__ tiles::Barrier& screen_full(int i) const { return (&queries_empty())[1 + i]; }
  __device__ tiles::Barrier& screen_empty(int i) const { return screen_full(P::kScreenStages + i); }
  __device__ tiles::Barrier& weigh_full(int i) const { return screen_empty(P::kScreenStages + i); }
  __device__ tiles::Barrier& weigh_empty(int i) const { return weigh_full(P::kWeighStages + i); }
  __device__ tiles::Barrier& held_full() const { return weigh_empty(P::kWeighStages); }
  __device__ tiles::Barrier& held_empty() const { return (&held_full())[1]; }
  /// A warpgroup's turn to multiply queries by keys.
  __device__ tiles::Barrier& turn(int warpgroup) const { return (&held_full())[2 + warpgroup]; }

  /// By one thread.
  __device__ void init_barriers() const {
    constexpr int kConsumers = 8;  // warps
    for (int i = 0; i < kScreenedChunks; ++i) queries_full(i).init(1);
    queries_empty().init(kConsumers);
    for (int i = 0; i < P::kScreenStages; ++i) screen_full(i).init(1), screen_empty(i).init(kConsumers);
    for (int i = 0; i < P::kWeighStages; ++i) weigh_full(i).init(1), weigh_empty(i).init(kConsumers);
    held_full().init(1), held_empty().init(kConsumers);
    turn(0).init(kConsumers / 2), turn(1).init(kConsumers / 2);
    tiles::publish_barriers();
  }
};

#ifdef NEUROINHIB_WGMMA

/// Waits for `threads` threads of the block that come to barrier `number`.
__device__ inline void meet(int number, int threads) {
  asm volatile("barrier.sync %0, %1;" ::"r"(number), "r"(threads) : "memory");
}

/// Names the box of 128 rows that begins at `box`, from row `line` on, a multiple of 64: depth inside.
__device__ inline std::uint64_t name_rows(const unsigned char* box, int line) {
  return gemm::StageFactor<wgmma::Major::depth, kTile>::name(box, line);
}
/// Names values: boxes of 128 keys and 64 values.
__device__ inline std::uint64_t name_values(const unsigned char* box) {
  constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62, kEightRows = 1024 >> 4, kNextBox = kBoxBytes >> 4;
  return tiles::shared_address(box) >> 4 | kNextBox << 16 | kEightRows << 32 | kSwizzle128;
}

/// This thread's place: its warpgroup among those that multiply, and its rows, `row` and row + 8, within a tile.
struct Place {
  int warpgroup, lane, row;

  __device__ Place() {
    const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / detail::kWarp, 0) - 4;
    warpgroup = warp / 4;
    lane = static_cast<int>(threadIdx.x) % detail::kWarp;
    row = 16 * warp + lane / 4;
  }
  [[nodiscard]] __device__ int column() const { return lane % 4 * 2; }
};

/// What is known of this thread's two queries; those that are not there see nothing.
__device__ inline void fetch_queries(const Problem& p, const Walk& walk, const Place& place, QueryNumbers (&q)[2]) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int query = walk.first_query() + place.row + 8 * h;
    q[h] = query < p.deal.queries ? p.queries[static_cast<Index>(walk.sequence) * p.deal.queries + query]
                                  : QueryNumbers{0, INFINITY, 0, 0, 0};
  }
}

#endif

}  // namespace neuroinhib::ops::similarity
