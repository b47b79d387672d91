#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/learned_scale/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const LearnedScale<T>& op) {
  cuda.parallel_for(op.x.size(), [=] __device__(Index i) { op.y[i] = op.factor() * op.x[i]; });
}

template <class T>
void backward(Cuda<T>& cuda, const LearnedScale<T>& op) {
  const T* dy = op.y.gradient;
  if (const auto dx = op.x.claim_gradient())
    cuda.parallel_for(op.x.size(), [=] __device__(Index i) { dx.put(i, op.factor() * dy[i]); });
  if (const auto slot = op.log_factor.claim_gradient())
    cuda.sum_columns(
        op.y.size(), 1, [=] __device__(Index i, Index) { return dy[i] * op.y[i]; },
        [=] __device__(Index, T sum) { slot.put(0, op.limited() ? T{0} : sum); });
}

}  // namespace neuroinhib::ops
