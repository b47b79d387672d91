#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/balance_bias/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const BalanceBias<T>& op) {
  cuda.parallel_for(op.load.size(), [=] __device__(Index k) { op.update(k); });
}

template <class T>
void backward(Cuda<T>&, const BalanceBias<T>&) {}

}  // namespace neuroinhib::ops
