#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/elementwise/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const Sum<T>& op) {
  const T* x = op.inputs[0].data;
  T* y = op.y.data;
  for (Index t = 1; t < op.count; ++t, x = y) {
    const T* other = op.inputs[t].data;
    cuda.parallel_for(op.y.size(), [=] __device__(Index i) { y[i] = x[i] + other[i]; });
  }
}

/// slot (+)= factor · dy.
template <class T>
void pass_gradient(Cuda<T>& cuda, const Tensor<T>& y, const GradientSlot<T>& slot, T factor) {
  if (!slot) return;
  const T* dy = y.gradient;
  cuda.parallel_for(y.size(), [=] __device__(Index i) { slot.put(i, factor * dy[i]); });
}

/// Two inputs a kernel.
template <class T>
void backward(Cuda<T>& cuda, const Sum<T>& op) {
  const T* dy = op.y.gradient;
  for (Index t = 0; t < op.count; t += 2) {
    const auto one = op.inputs[t].claim_gradient();
    const auto other = t + 1 < op.count ? op.inputs[t + 1].claim_gradient() : GradientSlot<T>{};
    if (!one && !other) continue;
    cuda.parallel_for(op.y.size(), [=] __device__(Index i) {
      if (one) one.put(i, dy[i]);
      if (other) other.put(i, dy[i]);
    });
  }
}

template <class T>
void forward(Cuda<T>& cuda, const Scale<T>& op) {
  cuda.parallel_for(op.y.size(), [=] __device__(Index i) { op.y[i] = op.factor * op.x[i]; });
}

template <class T>
void backward(Cuda<T>& cuda, const Scale<T>& op) {
  pass_gradient(cuda, op.y, op.x.claim_gradient(), op.factor);
}

}  // namespace neuroinhib::ops
