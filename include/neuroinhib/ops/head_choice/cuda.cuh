#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/head_choice/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const MeanEntropy<T>& op) {
  const Index heads = op.entropy.cols(), rows = op.entropy.rows();
  cuda.sum_columns(
      rows, heads, [=] __device__(Index row, Index h) { return op.counted(row) ? op.entropy[row * heads + h] : T{0}; },
      [=] __device__(Index h, T sum) { op.mean[h] = sum / op.counted.number(rows); });
}

template <class T>
void backward(Cuda<T>&, const MeanEntropy<T>&) {}

template <class T>
void forward(Cuda<T>& cuda, const LowestHead<T>& op) {
  cuda.parallel_for(1, [=] __device__(Index) { op.choose(); });
}

template <class T>
void backward(Cuda<T>&, const LowestHead<T>&) {}

}  // namespace neuroinhib::ops
