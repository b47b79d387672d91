#pragma once

#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>
#include <type_traits>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/routing_plan/scalar.hpp>

namespace neuroinhib::ops {

/// A number as an integer of the same order: zeros alike, NaN above all, none zero.
__device__ inline unsigned ordered(float x) {
  const unsigned bits = __float_as_uint(x + 0.f);
  return x != x ? ~0u : bits >> 31 != 0 ? ~bits : bits | 1u << 31;
}
/// Of up to 32 · Each experts: a lane holds its own as integers, of which the warp finds the largest.
template <int Each>
__device__ void choose_by_integers(const TopM<float>& op, Index token, int lane) {
  constexpr unsigned kAll = 0xffffffffu;
  unsigned scores[Each], ties[Each];
#pragma unroll
  for (int i = 0; i < Each; ++i) {
    const int k = lane + i * detail::kWarp;
    const Ranked<float> own = op.ranked(token, k < op.experts ? k : 0);
    scores[i] = k < op.experts ? ordered(own.score) : 0;
    ties[i] = ordered(own.tie);
  }
  for (Index m = 0; m < op.chosen; ++m) {
    unsigned score = 0, tie = 0, number = kAll;
#pragma unroll
    for (int i = 0; i < Each; ++i) score = max(score, scores[i]);
    score = __reduce_max_sync(kAll, score);
#pragma unroll
    for (int i = 0; i < Each; ++i)
      if (scores[i] == score) tie = max(tie, ties[i]);
    tie = __reduce_max_sync(kAll, tie);
#pragma unroll
    for (int i = Each - 1; i >= 0; --i)
      if (scores[i] == score && ties[i] == tie) number = static_cast<unsigned>(lane + i * detail::kWarp);
    number = __reduce_min_sync(kAll, number);
#pragma unroll
    for (int i = 0; i < Each; ++i)
      if (lane + i * detail::kWarp == static_cast<int>(number)) scores[i] = 0;
    if (lane == 0) op.choose(token, m, static_cast<int>(number));
  }
}
/// Of any number: each choice is the best of those that come after the last one.
template <class T>
__device__ void choose_in_turn(const TopM<T>& op, Index token, int lane) {
  Ranked<T> last(T{0}, -1);
  for (Index m = 0; m < op.chosen; ++m) {
    Ranked<T> best = op.next(token, last, lane, detail::kWarp);
    for (int step = detail::kWarp / 2; step > 0; step /= 2) {
      const Ranked<T> other(__shfl_xor_sync(0xffffffffu, best.score, step),
                            __shfl_xor_sync(0xffffffffu, best.tie, step),
                            __shfl_xor_sync(0xffffffffu, best.number, step));
      if (other.number >= 0 && (best.number < 0 || other.before(best))) best = other;
    }
    last = best;
    if (lane == 0) op.choose(token, m, best.number);
  }
}

template <int Each>
void run_by_integers(Cuda<float>& cuda, const TopM<float>& op) {
  cuda.parallel_rows(op.scores.rows(), 1, [=] __device__(Index token, const detail::Team<float>& team) {
    choose_by_integers<Each>(op, token, team.lane);
  });
}

template <class T>
void forward(Cuda<T>& cuda, const TopM<T>& op) {
  if constexpr (std::is_same_v<T, float>) {
    const Index each = (op.experts + detail::kWarp - 1) / detail::kWarp;
    if (each == 1) return run_by_integers<1>(cuda, op);
    if (each == 2) return run_by_integers<2>(cuda, op);
    if (each <= 4) return run_by_integers<4>(cuda, op);
  }
  cuda.parallel_rows(op.scores.rows(), 1, [=] __device__(Index token, const detail::Team<T>& team) {
    choose_in_turn(op, token, team.lane);
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

/// One block an expert, and one for the slots that have none. A thread has a run of slots: it counts those of the
/// experts before its block's and those of its own, and places these behind the ones of the threads before it.
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
  const int run = (slots + kSortThreads - 1) / kSortThreads, first = min(static_cast<int>(threadIdx.x) * run, slots),
            end = min(first + run, slots);
  int before = 0, own = 0, rank = 0;
#pragma unroll 4
  for (int slot = first; slot < end; ++slot) {
    before += plan.expert[slot] < expert;
    own += plan.expert[slot] == expert;
  }
  before = Reduce(memory.reduce).Sum(before);
  if (threadIdx.x == 0) {
    offset = before;
    plan.offsets[expert] = before;
    if (expert == 0 && !plan.partial) plan.offsets[plan.experts] = slots;
  }
  __syncthreads();
  Scan(memory.scan).ExclusiveSum(own, rank);
  int place = offset + rank;
  for (int slot = first; slot < end; ++slot) {
    if (plan.expert[slot] != expert) continue;
    plan.order[place] = slot;
    plan.position[slot] = place++;
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
