#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/slot_rows/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const SlotRows<T>& op) {
  if (op.of_slot.size() > 0) cuda.parallel_for(op.of_slot.size(), [=] __device__(Index place) { op.put_slot(place); });
  cuda.parallel_for(op.of_row.size(), [=] __device__(Index row) {
    op.put_row(row);
    if (row == 0) op.put_counts();
  });
}
template <class T>
void backward(Cuda<T>&, const SlotRows<T>&) {}

template <class T>
void forward(Cuda<T>& cuda, const MoveRows<T>& op) {
  const Index width = op.y.cols();
  if (op.y.size() == 0) return;
  cuda.parallel_grid(op.y.rows(), width, [=] __device__(Index row, Index c) {
    op.y[row * width + c] = op.from[row] < 0 ? T{0} : op.x[op.from[row] * width + c];
  });
}
template <class T>
void backward(Cuda<T>& cuda, const MoveRows<T>& op) {
  const auto dx = op.x.claim_gradient();
  const Index width = op.x.cols();
  if (op.x.size() == 0) return;
  cuda.parallel_grid(op.x.rows(), width, [=] __device__(Index row, Index c) {
    dx.put(row * width + c, op.to[row] < 0 ? T{0} : op.y.gradient[op.to[row] * width + c]);
  });
}

}  // namespace neuroinhib::ops
