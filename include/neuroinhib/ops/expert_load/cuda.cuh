#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/expert_load/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const ExpertLoad<T>& op) {
  const RoutingPlan plan = op.plan;
  const Index chosen = plan.chosen();
  cuda.parallel_rows(plan.experts, 1, [=] __device__(Index expert, const detail::Team<T>& team) {
    T sum = 0;
    for (int r = plan.offsets[expert] + team.lane; r < plan.offsets[expert + 1]; r += team.size)
      if (op.counted(plan.order[r] / chosen)) sum += 1;
    sum = team.sum(sum);
    if (team.lane == 0) op.load[expert] = sum;
  });
}

template <class T>
void backward(Cuda<T>&, const ExpertLoad<T>&) {}

}  // namespace neuroinhib::ops
