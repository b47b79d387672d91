#pragma once

#include <cstdint>
#include <utility>

#include <neuroinhib/backend/cuda.cuh>

/// Hopper's matrix unit (wgmma): a warpgroup, four warps, multiplies factors that lie in shared memory. Only programs
/// compiled for sm_90a have it; Cuda::has_wgmma() says whether this one does.
namespace neuroinhib::ops::wgmma {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define NEUROINHIB_WGMMA 1
#endif

inline constexpr int kWarpgroup = 128;

/// Numbers of a piece: what lies side by side in shared memory, 16 bytes.
inline constexpr int kPiece = 8;

/// How a factor of two-byte numbers lies in shared memory: pieces along one axis (m, n or the depth), and one row after
/// another along the other, 16 bytes apart. So laid out a factor may begin at any row, which is what a convolution's
/// windows do.
enum class Pieces {
  along_depth,  ///< rows are m or n
  along_lines   ///< rows are the depth
};

/// Names a factor that begins at `pieces`; columns of pieces lie `stride` pieces apart.
template <Pieces Kind>
__device__ std::uint64_t factor(const uint4* pieces, int stride) {
  constexpr std::uint64_t kRows = kPiece;  // from one part of 8 × 8 numbers to the next along the rows, in 16 bytes
  const auto across = static_cast<std::uint64_t>(stride);
  const std::uint64_t begin = static_cast<unsigned>(__cvta_generic_to_shared(pieces)) >> 4;
  const std::uint64_t leading = Kind == Pieces::along_depth ? across : kRows;
  const std::uint64_t other = Kind == Pieces::along_depth ? kRows : across;
  return begin | leading << 16 | other << 32;
}

#ifdef NEUROINHIB_WGMMA

/// Makes what threads have written to shared memory visible to the matrix unit; a barrier must follow.
__device__ inline void publish() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
/// Keeps the compiler from moving its own uses of the sums past this point. Not a loop: of more than 64 sums one is
/// unrolled so late that they lie in memory.
template <int Count>
__device__ __forceinline__ void settle(float (&sums)[Count]) {
  [&]<int... I>(std::integer_sequence<int, I...>) {
    ([](float& sum) { asm volatile("" : "+f"(sum)::"memory"); }(sums[I]), ...);
  }(std::make_integer_sequence<int, Count>{});
}
/// Orders products within a loop, where the sums stay with the matrix unit.
__device__ inline void order() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/// Between begin and finish the sums belong to the matrix unit.
template <int Count>
__device__ void begin(float (&sums)[Count]) {
  settle(sums);
  order();
}
/// Ends a group of products.
__device__ inline void commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until at most `Pending` groups of this warpgroup's products are under way.
template <int Pending>
__device__ void wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}
/// Waits for all products of this warpgroup.
template <int Count>
__device__ void finish(float (&sums)[Count]) {
  commit();
  wait<0>();
  settle(sums);
}

#endif

/// visit(row, column, sum, next column's sum) for this thread's results of [64, N].
template <int Count, class Visit>
__device__ void each(const float (&sums)[Count], const Visit& visit) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) % kWarpgroup / 32;
#pragma unroll
  for (int j = 0; j < Count / 4; ++j)
#pragma unroll
    for (int half = 0; half < 2; ++half)
      visit(16 * warp + lane / 4 + 8 * half, 8 * j + lane % 4 * 2, sums[4 * j + 2 * half], sums[4 * j + 2 * half + 1]);
}

}  // namespace neuroinhib::ops::wgmma
