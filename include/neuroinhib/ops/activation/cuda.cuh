#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/activation/scalar.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const Activate<T>& op) {
  cuda.parallel_for(op.x.size(), [=] __device__(Index i) {
    op.y[i] = activation_of(op.kind, op.x[i]) * (op.other.data != nullptr ? op.other[i] : T{1});
  });
}

template <class T>
void backward(Cuda<T>& cuda, const Activate<T>& op) {
  const auto dother = op.other.gradient_slot(), dx = op.x.gradient_slot();
  const bool from_output = derivative_from_output(op.kind) && !op.other.defined();
  cuda.parallel_for(op.x.size(), [=] __device__(Index i) {
    const T dy = op.y.gradient[i];
    if (dother) dother.put(i, dy * activation_of(op.kind, op.x[i]));
    if (!dx) return;
    const T slope = from_output ? slope_from_output(op.kind, op.y[i]) : slope_from_input(op.kind, op.x[i]);
    dx.put(i, dy * slope * (op.other.data != nullptr ? op.other[i] : T{1}));
  });
}

}  // namespace neuroinhib::ops
