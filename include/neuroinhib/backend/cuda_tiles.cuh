#pragma once

#include <cuda.h>

#include <cstdint>

/// What a block on Hopper does with tiles: barriers that count arrivals and bytes, copies of boxes by the copy engine,
/// registers that warpgroups hand to each other.
namespace neuroinhib::tiles {

__device__ inline unsigned shared_address(const void* shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

/// A barrier in shared memory (mbarrier). It ends a phase when all arrivals and all announced bytes have come; phases
/// are told apart by their parity, 0 for the first.
struct Barrier {
  std::uint64_t word;

  __device__ void init(int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&word)), "r"(arrivals));
  }
  __device__ void arrive() {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&word)) : "memory");
  }
  /// Arrives, and announces bytes that copies will bring.
  __device__ void arrive_and_expect(int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&word)), "r"(bytes)
                 : "memory");
  }
  /// Waits until the phase of this parity has ended.
  __device__ void wait(unsigned parity) {
    unsigned ended = 0;
    while (ended == 0)
      asm volatile(
          "{ .reg .pred ended; mbarrier.try_wait.parity.shared::cta.b64 ended, [%1], %2; selp.u32 %0, 1, 0, ended; }"
          : "=r"(ended)
          : "r"(shared_address(&word)), "r"(parity)
          : "memory");
  }
};

/// After barriers' init(), before a __syncthreads(): the copy engine sees them.
__device__ inline void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// Starts the copy of the box at (column, row) of a matrix; its bytes arrive at the barrier.
__device__ inline void load_box(void* shared, const CUtensorMap& map, Barrier& arrived, int column, int row,
                                int matrix) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
      "[%2];" ::"r"(shared_address(shared)),
      "l"(&map), "r"(shared_address(&arrived.word)), "r"(column), "r"(row), "r"(matrix)
      : "memory");
}

/// Starts the copy of bytes that lie side by side, a multiple of 16 at a multiple of 16.
__device__ inline void load_bytes(void* shared, const void* source, Barrier& arrived, int bytes) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(shared)),
               "l"(source), "r"(bytes), "r"(shared_address(&arrived.word))
               : "memory");
}

/// Brings a tensor map to where the copy engine looks for it.
__device__ inline void prefetch(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

/// How many registers a thread of this warpgroup has from here on.
template <int Count>
__device__ void give_registers() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
#endif
}
template <int Count>
__device__ void take_registers() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
#endif
}

}  // namespace neuroinhib::tiles
