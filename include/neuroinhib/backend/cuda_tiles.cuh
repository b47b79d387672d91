#pragma once

#include <cuda.h>

#include <cstdint>

/// What a block on Hopper does with tiles: barriers that count arrivals and bytes, copies of boxes by the copy engine,
/// registers that warpgroups hand to each other. Blocks may come in pairs (clusters of two), on neighbouring
/// multiprocessors: a copy can then bring one box to both, and each can arrive at the other's barriers.
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
  /// Arrives at this barrier of the pair's block `rank`.
  __device__ void arrive_at(int rank) {
    asm volatile(
        "{ .reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; mbarrier.arrive.shared::cluster.b64 _, [there]; "
        "}" ::"r"(shared_address(&word)),
        "r"(rank)
        : "memory");
  }
  /// Arrives, and announces bytes that copies will bring.
  __device__ void arrive_and_expect(int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&word)), "r"(bytes)
                 : "memory");
  }
  /// Arrives when the copies (cp.async) that this thread has started have come.
  __device__ void arrive_after_copies() {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(&word)) : "memory");
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

/// Starts the copy of bytes that lie side by side, a multiple of 16 at a multiple of 16, to the device's memory.
__device__ inline void store_bytes(void* target, const void* shared, int bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(target), "r"(shared_address(shared)),
               "r"(bytes)
               : "memory");
}
/// Ends a group of this thread's stores.
__device__ inline void commit_stores() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
/// Waits until what this thread stores has been read: its shared memory may be written again.
__device__ inline void wait_stores_read() {
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}

/// As load_box, for both blocks of a pair: to one place in the memory of each, where each one's barrier counts the
/// bytes.
__device__ inline void load_box_to_both(void* shared, const CUtensorMap& map, Barrier& arrived, int column, int row,
                                        int matrix) {
  constexpr std::uint16_t kBoth = 3;
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
      "[%1, {%3, %4, %5}], [%2], %6;" ::"r"(shared_address(shared)),
      "l"(&map), "r"(shared_address(&arrived.word)), "r"(column), "r"(row), "r"(matrix), "h"(kBoth)
      : "memory");
}

/// Waits until all threads of both blocks of a pair are here.
__device__ inline void meet_pair() {
  asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}

/// A warp stores four 8 × 8 matrices of two-byte numbers, of which each thread holds a pair: row lane / 4, columns 2 ·
/// (lane % 4) and the next. `row` is where row lane % 8 of matrix lane / 8 goes, 16 bytes.
__device__ inline void store_matrices(void* row, const unsigned (&pairs)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)),
               "r"(pairs[0]), "r"(pairs[1]), "r"(pairs[2]), "r"(pairs[3])
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
