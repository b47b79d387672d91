#pragma once

#include <climits>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>
#include <limits>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/routing_plan/op.hpp>

namespace neuroinhib::ops {

/// A score with its expert, ordered by falling score and rising number; NaN comes last.
template <class T>
struct Ranked {
  T score;
  int expert;

  __device__ bool before(const Ranked& other) const {
    return score > other.score || (score == other.score && expert < other.expert);
  }
};

template <class T>
void forward(Cuda<T>& cuda, const TopM<T>& op) {
  const Index experts = op.scores.cols(), chosen = op.y.cols();
  const T lowest = -std::numeric_limits<T>::infinity();
  cuda.parallel_rows(op.scores.rows(), 1, [=] __device__(Index token, const detail::Team<T>& team) {
    const int lane = team.lane;
    const T* scores = op.scores.data + token * experts;
    Ranked<T> last{-lowest, -1};  // each choice comes after the last one
    for (Index m = 0; m < chosen; ++m) {
      Ranked<T> best{lowest, INT_MAX};
      for (int k = lane; k < experts; k += detail::kWarp) {
        const Ranked<T> candidate{scores[k] == scores[k] ? scores[k] : lowest, k};
        if (last.before(candidate) && candidate.before(best)) best = candidate;
      }
      for (int step = detail::kWarp / 2; step > 0; step /= 2) {
        const Ranked<T> other{__shfl_xor_sync(0xffffffffu, best.score, step),
                              __shfl_xor_sync(0xffffffffu, best.expert, step)};
        if (other.before(best)) best = other;
      }
      last = best;
      if (lane != 0) continue;
      op.expert[token * chosen + m] = best.expert;
      op.y[token * chosen + m] = scores[best.expert];
    }
  });
}

template <class T>
void backward(Cuda<T>& cuda, const TopM<T>& op) {
  const auto dscores = op.scores.gradient_slot();
  const Index experts = op.scores.cols(), chosen = op.y.cols();
  cuda.parallel_grid(op.scores.rows(), experts, [=] __device__(Index token, Index k) {
    T value = 0;
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot)
      if (op.expert[slot] == k) value = op.y.gradient[slot];
    dscores.put(token * experts + k, value);
  });
}

/// One block an expert: counts the slots of the experts before it and its own, then places its own in order.
inline constexpr int kSortThreads = 512;
template <int = 0>
__global__ void __launch_bounds__(kSortThreads) sort_slots_kernel(RoutingPlan plan) {
  detail::take_turn();
  using Reduce = cub::BlockReduce<int, kSortThreads>;
  using Scan = cub::BlockScan<int, kSortThreads>;
  __shared__ union {
    typename Reduce::TempStorage reduce;
    typename Scan::TempStorage scan;
  } memory;
  __shared__ int offset;
  const int expert = static_cast<int>(blockIdx.x), slots = static_cast<int>(plan.slots());
  int before = 0;
  for (int slot = threadIdx.x; slot < slots; slot += kSortThreads) before += plan.expert[slot] < expert;
  before = Reduce(memory.reduce).Sum(before);
  if (threadIdx.x == 0) {
    offset = before;
    plan.offsets[expert] = before;
    if (expert == 0) plan.offsets[plan.experts] = slots;
  }
  __syncthreads();
  int place = offset;
  for (int first = 0; first < slots; first += kSortThreads) {
    const int slot = first + static_cast<int>(threadIdx.x);
    const int mine = slot < slots && plan.expert[slot] == expert;
    int rank = 0, total = 0;
    Scan(memory.scan).ExclusiveSum(mine, rank, total);
    __syncthreads();
    if (mine != 0) {
      plan.order[place + rank] = slot;
      plan.position[slot] = place + rank;
    }
    place += total;
  }
}

template <class T>
void forward(Cuda<T>& cuda, const SortSlots<T>& op) {
  cuda.launch_early(dim3(static_cast<unsigned>(op.plan.experts)), dim3(kSortThreads), 0, sort_slots_kernel<>, op.plan);
}

template <class T>
void backward(Cuda<T>&, const SortSlots<T>&) {}

}  // namespace neuroinhib::ops
