#pragma once

#include <algorithm>

#include <neuroinhib/ops/attention/cuda_halves.cuh>
#include <neuroinhib/ops/gemm/cuda_persistent.cuh>

/// What attention's kernels on Hopper's matrix unit share: factors in shared memory, which tiles a block takes and
/// which it leaves out, hidden pairs.
namespace neuroinhib::ops::flash {

inline constexpr int kRowsEach = 64;              ///< of a block's own rows, a warpgroup
inline constexpr int kMaxShared = 232448 - 1024;  ///< bytes of a block, less what barriers and notes may take

/// Columns of 64 two-byte numbers in shared memory, in rows of 128 bytes, swizzled; panel after panel.
template <int Rows, int Panels>
struct SwizzledRows {
  static constexpr int kPanelBytes = Rows * 128, kBytes = Panels * kPanelBytes;

  __device__ static void load(unsigned char* target, const CUtensorMap& map, tiles::Barrier& full, int row,
                              int matrix) {
#pragma unroll
    for (int panel = 0; panel < Panels; ++panel)
      tiles::load_box(target + panel * kPanelBytes, map, full, 64 * panel, row, matrix);
  }
  /// Names the factor that begins at `row`, a multiple of 8, with the depth along rows or from row to row.
  template <wgmma::Major Kind>
  __device__ static std::uint64_t name(const unsigned char* rows, int row) {
    constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62, kEightRows = 1024 >> 4;
    constexpr std::uint64_t kNextPanel = Kind == wgmma::Major::depth ? 1 : kPanelBytes >> 4;
    return (tiles::shared_address(rows) + static_cast<unsigned>(row) * 128) >> 4 | kNextPanel << 16 | kEightRows << 32 |
           kSwizzle128;
  }
  /// How far its step k of 16 along the depth lies behind it.
  template <wgmma::Major Kind>
  __device__ static constexpr int step(int k) {
    return (Kind == wgmma::Major::depth ? k / 4 * kPanelBytes + k % 4 * 32 : k * 2048) >> 4;
  }
};

/// Starts the barriers of a block's shared memory: of its stages, and of two tiles of own rows by turns. A full one
/// waits for the copy engine, an empty one for all warps that multiply.
template <class Plan, class Memory>
__device__ void start_barriers(const Memory& memory) {
  constexpr int kWarps = 4 * Plan::kConsumers;
  for (int stage = 0; stage < Plan::kStages; ++stage) {
    memory.full(stage).init(1);
    memory.empty(stage).init(kWarps);
  }
  for (int round = 0; round < 2; ++round) {
    memory.full_own(round).init(1);
    memory.empty_own(round).init(kWarps);
  }
  tiles::publish_barriers();
}

/// In which order blocks take tiles of rows: matrices (a sequence's heads) `together`, whose keys and values share the
/// cache, and of those the longest tiles first. A block that is done with its tile takes the next that no block has.
struct WorkOrder {
  int matrices, tiles, together;
  bool last_first;  ///< the last rows are the longest
  int* taken;       ///< tiles beyond each block's first; 0 at the beginning

  /// The number of this block's tile in this round, for one thread.
  __device__ int draw(int round) const {
    return round == 0 ? static_cast<int>(blockIdx.x) : static_cast<int>(gridDim.x) + atomicAdd(taken, 1);
  }
  __device__ bool find(int number, int& matrix, int& tile) const {
    if (number >= matrices * tiles) return false;
    const int first = number / (together * tiles) * together, place = number - first * tiles;
    const int count = min(together, matrices - first);
    matrix = first + place % count;
    tile = last_first ? tiles - 1 - place / count : place / count;
    return true;
  }
};

/// How many heads' keys and values share the second-level cache.
[[nodiscard]] inline int together(const FlashAttention<float>& s, int padded) {
  constexpr Index kCache = Index{32} << 20;
  return static_cast<int>(std::clamp<Index>(kCache / (4 * s.sight.keys * padded), 1, s.sight.count * s.heads));
}

/// The documents of a sequence's tokens; null where there are none.
__device__ inline const DocumentRange* ranges_of(const Visibility& sight, const DocumentRange* ranges, int sequence) {
  constexpr int kTokens = DocumentRange::kTokens;
  return ranges == nullptr ? nullptr : ranges + sequence * ((sight.keys + kTokens - 1) / kTokens);
}

/// Queries or keys [first, end) of a sequence; none where end ≤ first.
struct Span {
  int first, end;
  DocumentRange documents;

  __device__ Span(const DocumentRange* ranges, int begin, int count, Index extent)
      : first(begin), end(min(begin + count, static_cast<int>(extent))), documents(ranges, begin, end) {}
};

/// Whether a query sees a key.
__device__ inline bool any_sees(const Visibility& sight, const Span& queries, const Span& keys) {
  const int past = static_cast<int>(sight.past), last = past + queries.end - 1;
  if (queries.end <= queries.first || keys.end <= keys.first) return false;
  if (sight.mask == Mask::causal && keys.first > last) return false;
  const bool themselves = keys.first <= last && keys.end > past + queries.first;
  return sight.document == nullptr || themselves || keys.documents.meets(queries.documents);
}
/// Whether every query sees every key, and none is one.
__device__ inline bool all_see(const Visibility& sight, const Span& queries, const Span& keys) {
  const int past = static_cast<int>(sight.past);
  const bool before = keys.end <= past + queries.first, behind = keys.first >= past + queries.end;
  return (before || (behind && sight.mask == Mask::none)) &&
         (sight.document == nullptr || keys.documents.is(queries.documents));
}

/// What warpgroups are told of a tile: its number, which of them have a pair there that is seen, which have none that
/// is hidden, and whether it is the last.
struct TileNote {
  static constexpr int kGroups = 3, kFlags = 2 * kGroups + 1;
  int word;

  __device__ void set(int group, bool some, bool all) {
    word |= (some ? 1 : 0) << group | (all ? 1 : 0) << (kGroups + group);
  }
  __device__ bool any() const { return (word & ((1 << kGroups) - 1)) != 0; }
  __device__ bool some(int group) const { return (word >> group & 1) != 0; }
  __device__ bool all(int group) const { return (word >> (kGroups + group) & 1) != 0; }
  __device__ bool last() const { return (word >> (kFlags - 1) & 1) != 0; }
  template <int Tile>
  __device__ int begin() const {
    return (word >> kFlags) * Tile;
  }
};

/// The tiles of others that a block's own rows meet, from the last to the first, which is always among them. Own rows
/// are queries and the others keys, or ByKeys the other way round. A warp looks at 32 at once.
template <int Groups, int Tile, bool ByKeys>
struct TileList {
  const Visibility& sight;
  const DocumentRange* ranges;  ///< of the sequence
  int own_first, top, bottom;   ///< the first own row; the number of lane 0's tile; the least number
  TileNote note{};              ///< of this lane's tile
  unsigned listed = 0;

  __device__ TileList(const Visibility& s, const DocumentRange* of_sequence, int first)
      : sight(s), ranges(of_sequence), own_first(first) {
    const Index end = ByKeys ? s.queries : s.keys_until(min(static_cast<Index>(first) + Groups * kRowsEach, s.queries));
    top = (static_cast<int>(end) - 1) / Tile + detail::kWarp;
    bottom = ByKeys ? static_cast<int>(s.first_query(first)) / Tile : 0;
  }
  __device__ TileNote next() {
    while (listed == 0) look();
    const int lane = __ffs(static_cast<int>(listed)) - 1, tile = top - lane;
    listed &= listed - 1;
    return {__shfl_sync(0xffffffffu, note.word, lane) | (tile == bottom ? 1 : 0) << (TileNote::kFlags - 1) |
            tile << TileNote::kFlags};
  }

 private:
  __device__ void look() {
    top -= detail::kWarp;
    note = {};
    const int tile = top - static_cast<int>(threadIdx.x) % detail::kWarp;
    if (tile >= bottom) {
      const Span others(ranges, tile * Tile, Tile, ByKeys ? sight.queries : sight.keys);
      const bool filled = ByKeys || others.end - others.first == Tile;
#pragma unroll 1
      for (int group = 0; group < Groups; ++group) {
        const Span own(ranges, own_first + kRowsEach * group, kRowsEach, ByKeys ? sight.keys : sight.queries);
        const Span &queries = ByKeys ? others : own, &keys = ByKeys ? own : others;
        note.set(group, any_sees(sight, queries, keys), filled && all_see(sight, queries, keys));
      }
    }
    listed = __ballot_sync(0xffffffffu, note.any() || tile == bottom);
  }
};

#ifdef NEUROINHIB_WGMMA

__device__ __forceinline__ float power_of_two(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
__device__ __forceinline__ std::uint32_t pair_of_halves(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

/// Whether it is so for a thread of this warpgroup.
__device__ __forceinline__ bool any_of_warpgroup(bool value) {
  int any = 0;
  asm volatile("{ .reg .pred p, q; setp.ne.s32 p, %1, 0; barrier.cta.red.or.pred q, %2, 128, p; selp.s32 %0, 1, 0, q; }"
               : "=r"(any)
               : "r"(value ? 1 : 0), "r"(4 + static_cast<int>(threadIdx.x) / wgmma::kWarpgroup)
               : "memory");
  return __shfl_sync(0xffffffffu, any, 0) != 0;
}

/// Has what `number` is made of computed before products are waited for: ptxas would have it wait first. It cannot know
/// that the pause depends on nothing else and that it is hardly ever made.
__device__ __forceinline__ void compute_before_wait(float number) {
  asm volatile(
      "{ .reg .pred seldom; setp.eq.u32 seldom, %0, 1; @seldom nanosleep.u32 0; }" ::"r"(__float_as_uint(number))
      : "memory");
}

/// Keeps a left factor's registers until here, where the products that read them have been waited for.
template <int Steps>
__device__ __forceinline__ void hold(std::uint32_t (&pairs)[Steps][4]) {
#pragma unroll
  for (auto& four : pairs)
#pragma unroll
    for (std::uint32_t& pair : four) asm volatile("" : "+r"(pair)::"memory");
}

/// Of products of rounded queries and keys, to make logits to base 2. Not zero, so that it leaves −∞ as it is.
__device__ inline float logit_factor(float scale, const FactorSize* sizes) {
  return fmaxf(scale * sizes[kQueryFactor].inverse * sizes[kKeyFactor].inverse * 1.4426950408889634f, 0x1p-100f);
}

/// Sets a tile's products of hidden pairs to −∞. This thread's own rows are `own` and own + 8, its columns the others
/// from `begin` on; queries behind the last need not be hidden.
template <bool ByKeys, int Sums>
__device__ __forceinline__ void hide_pairs(float (&sums)[Sums], const Visibility& sight, int sequence, int own,
                                           int begin) {
  const int first = begin + static_cast<int>(threadIdx.x) % 4 * 2, past = static_cast<int>(sight.past);
  const bool causal = sight.mask == Mask::causal;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = own + 8 * r, keys = static_cast<int>(sight.keys) - first;
    const int least = ByKeys && causal ? row - past - first : 0;
    const int end = ByKeys ? INT_MAX : causal ? min(past + row + 1 - first, keys) : keys;
#pragma unroll
    for (int i = 0; i < Sums / 2; ++i) {
      const int column = i / 2 * 8 + i % 2;
      if (column < least || column >= end) sums[i / 2 * 4 + 2 * r + i % 2] = -INFINITY;
    }
  }
  if (sight.document == nullptr) return;
  const int* const documents = sight.document + sequence * sight.key_rows;
  const auto document = [&](int token) { return token < sight.keys ? documents[token] : -1; };
  const int of_own[2] = {document(own), document(own + 8)};
#pragma unroll
  for (int i = 0; i < Sums / 2; ++i) {
    const int other = first + i / 2 * 8 + i % 2, of_other = document(other);
#pragma unroll
    for (int r = 0; r < 2; ++r)
      if ((of_other < 0 || of_other != of_own[r]) && other != own + 8 * r) sums[i / 2 * 4 + 2 * r + i % 2] = -INFINITY;
  }
}

#endif

}  // namespace neuroinhib::ops::flash
