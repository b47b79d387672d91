#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/strided_rows/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const StridedRows<T>& op) {
  const Index width = op.y.cols();
  cuda.parallel_grid(op.y.rows(), width, [=] __device__(Index row, Index c) {
    op.y[row * width + c] = op.x[(op.first + row * op.step) * width + c];
  });
}

template <class T>
void backward(Cuda<T>& cuda, const StridedRows<T>& op) {
  const Index width = op.y.cols();
  const T* dy = op.y.gradient;
  const auto dx = op.x.claim_gradient();
  cuda.parallel_grid(op.x.rows(), width, [=] __device__(Index row, Index c) {
    const bool taken = row % op.step == op.first;
    dx.put(row * width + c, taken ? dy[row / op.step * width + c] : T{0});
  });
}

}  // namespace neuroinhib::ops
