#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/append/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const Append<T>& op) {
  const Index width = op.x.width, stride = op.x.tensor.cols();
  const T* source = op.x.tensor.data + op.x.first;
  cuda.parallel_grid(op.x.tensor.rows(), width, [=] __device__(Index row, Index c) {
    const Index target = row / op.rows * op.capacity + op.past + row % op.rows;
    op.cache[target * width + c] = source[row * stride + c];
  });
}

template <class T>
void backward(Cuda<T>&, const Append<T>&) {}

}  // namespace neuroinhib::ops
