#pragma once

#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/routing_plan/scalar.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const TopM<T>& op) {
  cuda.parallel_rows(op.scores.rows(), 1, [=] __device__(Index token, const detail::Team<T>& team) {
    Ranked<T> last(T{0}, -1);  // each choice comes after the last one
    for (Index m = 0; m < op.y.cols(); ++m) {
      Ranked<T> best = op.next(token, last, team.lane, detail::kWarp);
      for (int step = detail::kWarp / 2; step > 0; step /= 2) {
        const Ranked<T> other(__shfl_xor_sync(0xffffffffu, best.score, step),
                              __shfl_xor_sync(0xffffffffu, best.tie, step),
                              __shfl_xor_sync(0xffffffffu, best.number, step));
        if (other.number >= 0 && (best.number < 0 || other.before(best))) best = other;
      }
      last = best;
      if (team.lane == 0) op.choose(token, m, best.number);
    }
  });
}

/// dscores of y [tokens, chosen], which took what `expert` names.
template <class T>
void scatter_choices(Cuda<T>& cuda, const Tensor<T>& scores, const View<int>& expert, const Tensor<T>& y) {
  const auto dscores = scores.claim_gradient();
  const Index experts = scores.cols(), chosen = y.cols();
  cuda.parallel_grid(scores.rows(), experts, [=] __device__(Index token, Index k) {
    T value = 0;
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot)
      if (expert[slot] == k) value = y.gradient[slot];
    dscores.put(token * experts + k, value);
  });
}

template <class T>
void backward(Cuda<T>& cuda, const TopM<T>& op) {
  scatter_choices(cuda, op.scores, op.expert, op.y);
}

template <class T>
void forward(Cuda<T>& cuda, const Nucleus<T>& op) {
  const Index chosen = op.y.cols();
  cuda.parallel_for(op.y.rows(), [=] __device__(Index token) {
    T before = 0;
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot) {
      const bool kept = before < op.p;
      before += op.values[slot];
      op.kept[slot] = kept ? op.expert[slot] : op.experts;
      op.y[slot] = kept ? op.values[slot] : T{0};
    }
  });
}

template <class T>
void backward(Cuda<T>& cuda, const Nucleus<T>& op) {
  const auto dvalues = op.values.claim_gradient();
  cuda.parallel_for(op.y.size(), [=] __device__(Index slot) {
    dvalues.put(slot, op.kept[slot] < op.experts ? op.y.gradient[slot] : T{0});
  });
}

template <class T>
void forward(Cuda<T>& cuda, const ExpertChoice<T>& op) {
  cuda.parallel_for(op.scores.rows(), [=] __device__(Index token) { choose(op, token); });
}

template <class T>
void backward(Cuda<T>& cuda, const ExpertChoice<T>& op) {
  scatter_choices(cuda, op.scores, op.expert, op.y);
}

template <class T>
void forward(Cuda<T>& cuda, const EveryExpert<T>& op) {
  const Index experts = op.y.cols();
  cuda.parallel_for(op.y.size(), [=] __device__(Index slot) {
    op.expert[slot] = static_cast<int>(slot % experts);
    op.y[slot] = 1;
  });
}

template <class T>
void backward(Cuda<T>&, const EveryExpert<T>&) {}

/// One block an expert, and one for the slots that have none: counts the slots of the experts before it and its own,
/// then places its own in order.
inline constexpr int kSortThreads = 512;
template <int = 0>
__global__ void __launch_bounds__(kSortThreads) sort_slots_kernel(RoutingPlan plan) {
  detail::pdl_begin();
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
    if (expert == 0 && !plan.partial) plan.offsets[plan.experts] = slots;
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
  const auto blocks = static_cast<unsigned>(op.plan.experts + (op.plan.partial ? 1 : 0));
  cuda.launch_pdl(dim3(blocks), dim3(kSortThreads), 0, sort_slots_kernel<>, op.plan);
}

template <class T>
void backward(Cuda<T>&, const SortSlots<T>&) {}

}  // namespace neuroinhib::ops
