#pragma once

#include <algorithm>

#include <neuroinhib/backend/cuda_tensor_map.cuh>
#include <neuroinhib/backend/cuda_tiles.cuh>
#include <neuroinhib/ops/gemm/cuda_panel.cuh>
#include <neuroinhib/ops/gemm/cuda_tile_order.cuh>
#include <neuroinhib/ops/gemm/cuda_wgmma_widths.cuh>

/// What a block of a product of experts has in shared memory: stages of both factors, 64 deep, as the matrix unit reads
/// them, and how they come there: by the copy engine, in boxes of 64 numbers × rows, or gathered in pieces of 16 bytes.
///
///   ┌────────┬───────┬────────┬───────┬─────┬─────────┬──────────┐
///   │ A 16 KB│ B     │ A      │ B     │  …  │ scratch │ barriers │
///   └────────┴───────┴────────┴───────┴─────┴─────────┴──────────┘
///      stage 0          stage 1                 of the epilogue
namespace neuroinhib::ops::gemm {

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
  static constexpr int kBoxes = kDeep ? (Lines % 16 == 0 ? 2 : 1) : (Lines + 63) / 64;
  static constexpr int kBoxRows = kDeep ? Lines / kBoxes : kTileDepth;
  static constexpr int kBytes = kBoxes * kBoxRows * 128;
  static constexpr int kLineBytes = 128;           ///< from one line to the next, where the depth is inside
  static constexpr int kStep = kDeep ? 32 : 2048;  ///< bytes from one product's 16 to the next along the depth

  /// Brings the whole to this block's stage.
  __device__ static void load(unsigned char* stage, const CUtensorMap& map, tiles::Barrier& full, int line, int depth,
                              int matrix) {
#pragma unroll
    for (int box = 0; box < kBoxes; ++box)
      tiles::load_box(stage + box * kBoxRows * 128, map, full, column_of(box, line, depth), row_of(box, line, depth),
                      matrix);
  }
  /// Brings every other box to the stages of both blocks of a pair; the other block brings the rest.
  __device__ static void load_shared(unsigned char* stage, const CUtensorMap& map, tiles::Barrier& full, int line,
                                     int depth, int matrix, int rank) {
#pragma unroll
    for (int begin = 0; begin < kBoxes; begin += 2)
      if (const int box = begin + rank; box < kBoxes)
        tiles::load_box_to_both(stage + box * kBoxRows * 128, map, full, column_of(box, line, depth),
                                row_of(box, line, depth), matrix);
  }
  /// Names the factor that begins at `line`, a multiple of 64, for the matrix unit.
  __device__ static std::uint64_t name(const unsigned char* stage, int line) {
    constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62, kEightRows = 1024 >> 4, kNextBox = 8192 >> 4;
    constexpr unsigned kOwnMemory = (1u << 18) - 1;  // without the block's number in its pair
    const unsigned begin = (tiles::shared_address(stage) + static_cast<unsigned>(line) * kLineBytes) & kOwnMemory;
    return begin >> 4 | (kDeep ? std::uint64_t{1} : kNextBox) << 16 | kEightRows << 32 | kSwizzle128;
  }

 private:
  /// Where a box begins in its matrix.
  __device__ static int column_of(int box, int line, int depth) { return kDeep ? depth : line + box * 64; }
  __device__ static int row_of(int box, int line, int depth) { return kDeep ? line + box * kBoxRows : depth; }
};

/// Rows of tokens [tokens, width] in bf16, by the slots that the rows of experts' blocks stand for.
struct TokenRows {
  const __nv_bfloat16* data;
  int width;
  const int* slot;  ///< of each row, −1 where it has none
  Divisor chosen;   ///< slots a token
};

/// A factor's part of a stage as StageFactor lays it out, gathered by a warpgroup in pieces of 16 bytes. The tokens'
/// rows run along m, or along the depth.
template <wgmma::Major Kind, int Lines>
struct GatheredFactor {
  static constexpr bool kDeep = Kind == wgmma::Major::depth;
  static constexpr int kPieces = (kDeep ? kTileDepth : Lines) / wgmma::kPiece, kPass = wgmma::kWarpgroup / kPieces;
  static constexpr int kPasses = (kDeep ? Lines : kTileDepth) / kPass;
  static_assert(kPass % 8 == 0, "a thread keeps its place in swizzled rows");

  int slots[kPasses];

  /// Looks the slots of this thread's rows up: those from `begin` on, as far as `end`.
  __device__ void find(const TokenRows& from, int begin, int end) {
    const int first = begin + static_cast<int>(threadIdx.x) / kPieces;
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const int row = first + pass * kPass;
      slots[pass] = row < end ? from.slot[row] : -1;
    }
  }
  /// Starts copying their tokens' columns from `column` on; zeros where there are none.
  __device__ void load(const TokenRows& from, unsigned char* stage, int column) const {
    const int piece = static_cast<int>(threadIdx.x) % kPieces, row = static_cast<int>(threadIdx.x) / kPieces;
    unsigned char* target = stage + piece / 8 * 8192 + row * 128 + ((piece % 8 ^ row % 8) << 4);
    column += piece * wgmma::kPiece;
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const bool valid = slots[pass] >= 0 && column < from.width;
      const Index token = from.chosen.divide(static_cast<unsigned>(slots[pass]));
      const Index at = valid ? token * from.width + column : 0;
      copy_async<wgmma::kPiece>(reinterpret_cast<__nv_bfloat16*>(target + pass * kPass * 128), from.data + at, valid);
    }
  }
};

/// Where the numbers of A come from.
enum class Source {
  rows,   ///< rows as they lie
  tokens  ///< gathered rows of tokens
};

/// A kernel's plan: N columns a tile, where the factors' numbers lie side by side, and how pairs are joined.
template <int Columns, Source SourceA, wgmma::Major MajorA, wgmma::Major MajorB, Pair Joined, GroupsOf Kind,
          int ScratchBytes>
struct PersistentPlan {
  static constexpr int kColumns = Columns, kConsumers = 2, kThreads = (1 + kConsumers) * wgmma::kWarpgroup;
  static constexpr bool kGathers = SourceA == Source::tokens;
  static constexpr Pair kPair = Joined;
  static constexpr GroupsOf kGroups = Kind;
  static constexpr wgmma::Major kMajorA = MajorA, kMajorB = MajorB;
  static constexpr int kColumnsEach = Joined == Pair::columns ? Columns / 2 : Columns;
  using A = StageFactor<MajorA, kTileRows>;
  using GatheredA = GatheredFactor<MajorA, kTileRows>;
  using B = StageFactor<MajorB, kColumnsEach>;
  static constexpr int kMatricesB = Joined == Pair::columns ? 2 : 1;
  static constexpr int kStageBytes = A::kBytes + kMatricesB * B::kBytes;
  static constexpr int kMaxShared = 232448 - 1024, kScratchBytes = ScratchBytes;
  static constexpr int kStages = std::min(6, (kMaxShared - ScratchBytes) / kStageBytes);
  static constexpr int kSharedBytes = kStages * kStageBytes + ScratchBytes + 2 * kStages * 8;
  static_assert(kStageBytes % 1024 == 0 && kStages >= 3);
  static constexpr int kCopiedBytes = kStageBytes - (kGathers ? A::kBytes : 0);  ///< by the copy engine
  static constexpr int kProducers = kGathers ? 1 + wgmma::kWarpgroup : 1;
  static constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;
  static_assert(Joined != Pair::columns || (MajorB == wgmma::Major::depth && Columns == 256));

  /// The maps of the factors, the second ones only where there is a pair; the tokens, where A is gathered.
  struct Factors {
    CUtensorMap a[2], b[2];
    TokenRows tokens;
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

}  // namespace neuroinhib::ops::gemm
