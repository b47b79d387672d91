#pragma once

#include <neuroinhib/ops/gemm/cuda_maps.cuh>

/// A block's part of a factor, on its way into shared memory.
namespace neuroinhib::ops::gemm {

/// Copies `Count` numbers to shared memory while the program goes on; zeros where `valid` is false.
template <int Count, class T>
__device__ void copy_async(T* target, const T* source, bool valid) {
  constexpr int kBytes = Count * static_cast<int>(sizeof(T));
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(target));
  const int bytes = valid ? kBytes : 0;
  if constexpr (kBytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(source), "r"(bytes));
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(source), "n"(kBytes), "r"(bytes));
}
__device__ inline void commit_copies() {
  asm volatile("cp.async.commit_group;");
}
template <int Pending>
__device__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending));
}

/// How a panel's rows are laid out, so that a warp's reads of one fragment fall into different banks.
enum class Layout {
  padded,  ///< read number by number: rows a few numbers apart
  fours,   ///< read four floats at a time: every other row's pieces change their halves
  eights   ///< read as 8 × 8 parts of two-byte numbers: a row's pieces change places with its number
};

/// A block's part of one factor in shared memory: `Lines` along the outer axis where depth is inner, else `Depth` of
/// them.
template <class T, bool DepthInner, int Lines, int Depth, int Threads, int Vector, Layout Kind>
struct Panel {
  static constexpr bool kDepthInner = DepthInner;
  static constexpr Layout kLayout = Kind;
  static constexpr int kOuter = DepthInner ? Lines : Depth, kInner = DepthInner ? Depth : Lines;
  static constexpr int kStride = kInner + (Kind != Layout::padded ? 0 : DepthInner ? 4 : 8), kSize = kOuter * kStride;
  static_assert(Kind != Layout::fours || (DepthInner && Depth % 32 == 0 && Vector == 4));
  static_assert(Kind != Layout::eights || (kInner % 64 == 0 && Vector == 8));
  static constexpr int kPieces = kInner / Vector, kPass = Threads / kPieces, kPasses = (kOuter + kPass - 1) / kPass;
  static_assert(Threads % kPieces == 0, "a thread keeps its place along the inner axis");

  /// Where the piece from `inner` on stands in a row.
  __device__ static int piece_at(int row, int inner) {
    if constexpr (Kind == Layout::fours) inner ^= row % 2 * 16;
    if constexpr (Kind == Layout::eights) inner ^= row % 8 * 8;
    return row * kStride + inner;
  }
  __device__ static int at(int line, int depth) { return DepthInner ? piece_at(line, depth) : piece_at(depth, line); }

  template <class Factor>
  struct Reader {
    const T* base;
    Index inner, outer_at[DepthInner ? kPasses : 1];
    bool inner_valid, outer_valid[DepthInner ? kPasses : 1];
    int piece, first;

    /// Lines [begin, end) of the factor's m or n axis.
    __device__ Reader(const Factor& f, int group, Index begin, Index end)
        : base(f.base + group * f.group_stride), piece(threadIdx.x % kPieces * Vector), first(threadIdx.x / kPieces) {
      if constexpr (DepthInner) {
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
          const int line = first + pass * kPass;
          outer_valid[pass] = line < kOuter && begin + line < end;
          outer_at[pass] = outer_valid[pass] ? f.outer(begin + line) : 0;
        }
      } else {
        inner_valid = begin + piece < end;
        inner = inner_valid ? f.inner(begin + piece) : 0;
      }
    }
    /// Starts the copies of depth [k, k + Depth), zeros from k_end on.
    __device__ void load(const Factor& f, T* panel, Index k, Index k_end) {
      if constexpr (DepthInner) {
        inner_valid = k + piece < k_end;
        inner = inner_valid ? f.inner(k + piece) : 0;
      }
#pragma unroll
      for (int pass = 0; pass < kPasses; ++pass) {
        const int line = first + pass * kPass;
        if (kOuter % kPass != 0 && line >= kOuter) break;
        bool valid = inner_valid;
        Index at = inner;
        if constexpr (DepthInner) {
          valid = valid && outer_valid[pass];
          at += outer_at[pass];
        } else {
          valid = valid && k + line < k_end;
          if (valid) at += f.outer(k + line);
        }
        copy_async<Vector>(panel + piece_at(line, piece), base + (valid ? at : 0), valid);
      }
    }
  };
};

}  // namespace neuroinhib::ops::gemm
