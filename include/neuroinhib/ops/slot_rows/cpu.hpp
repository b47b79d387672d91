#pragma once

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/slot_rows/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const SlotRows<T>& op) {
  cpu.parallel_for(op.of_slot.size(), [&](Index place) { op.put_slot(place); });
  cpu.parallel_for(op.of_row.size(), [&](Index row) { op.put_row(row); });
  op.put_counts();
}
template <class T>
void backward(Cpu<T>&, const SlotRows<T>&) {}

template <class T>
void forward(Cpu<T>& cpu, const MoveRows<T>& op) {
  const Index width = op.y.cols();
  cpu.parallel_for(op.y.rows(), width, [&](Index row) {
    for (Index c = 0; c < width; ++c) op.y[row * width + c] = op.from[row] < 0 ? T{0} : op.x[op.from[row] * width + c];
  });
}
template <class T>
void backward(Cpu<T>& cpu, const MoveRows<T>& op) {
  const auto dx = op.x.claim_gradient();
  const Index width = op.x.cols();
  cpu.parallel_for(op.x.rows(), width, [&](Index row) {
    for (Index c = 0; c < width; ++c)
      dx.put(row * width + c, op.to[row] < 0 ? T{0} : op.y.gradient[op.to[row] * width + c]);
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
