#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/join_rows/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const JoinRows<T>& op) {
  const Index width = op.y.cols(), size = op.a.size();
  cuda.parallel_grid(op.y.rows(), width, [=] __device__(Index row, Index c) {
    const Index from = op.source(row);
    op.y[row * width + c] = from < size ? op.a[from + c] : op.b[from - size + c];
  });
}

template <class T>
void backward(Cuda<T>& cuda, const JoinRows<T>& op) {
  const Index width = op.y.cols(), size = op.a.size();
  const T* dy = op.y.gradient;
  const auto da = cleared_slot(cuda, op.a), db = cleared_slot(cuda, op.b);
  cuda.parallel_grid(op.y.rows(), width, [=] __device__(Index row, Index c) {
    const Index from = op.source(row);
    const auto& slot = from < size ? da : db;
    if (slot) slot.put(from - (from < size ? 0 : size) + c, dy[row * width + c]);
  });
}

}  // namespace neuroinhib::ops
