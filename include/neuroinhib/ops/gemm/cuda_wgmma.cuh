#pragma once

#include <cstdint>

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
/// Keeps the compiler from moving its own uses of the sums past this point.
template <int Count>
__device__ void settle(float (&sums)[Count]) {
#pragma unroll
  for (float& sum : sums) asm volatile("" : "+f"(sum)::"memory");
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

/// sums [64, N] += a [64, 16] b [16, N] in half precision with float sums; runs on, until finish().
template <Pieces A, Pieces B>
__device__ void multiply(float (&d)[16], std::uint64_t a, std::uint64_t b) {
  asm volatile(
      "{ .reg .pred add; setp.eq.u32 add, 1, 1;\n"
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, "
      "%16, %17, add, 1, 1, %18, %19; }"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),
        "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15])
      : "l"(a), "l"(b), "n"(A == Pieces::along_lines), "n"(B == Pieces::along_lines));
}
template <Pieces A, Pieces B>
__device__ void multiply(float (&d)[32], std::uint64_t a, std::uint64_t b) {
  asm volatile(
      "{ .reg .pred add; setp.eq.u32 add, 1, 1;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, %32, %33, add, 1, 1, %34, %35; }"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),
        "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),
        "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),
        "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "l"(a), "l"(b), "n"(A == Pieces::along_lines), "n"(B == Pieces::along_lines));
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
