#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/take_slots/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const TakeSlots<T>& op) {
  const Index width = op.x.cols(), chosen = op.plan.chosen();
  if (op.y.size() == 0) return;
  cuda.parallel_grid(op.y.rows(), width, [=] __device__(Index place, Index c) {
    op.y[place * width + c] = op.x[op.plan.order[place] / chosen * width + c];
  });
}

template <class T>
void backward(Cuda<T>& cuda, const TakeSlots<T>& op) {
  const auto dx = op.x.claim_gradient();
  const Index width = op.x.cols(), chosen = op.plan.chosen(), places = op.y.rows();
  cuda.parallel_grid(op.plan.tokens(), width, [=] __device__(Index token, Index c) {
    T sum = 0;
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot)
      if (const Index place = op.plan.position[slot]; place < places) sum += op.y.gradient[place * width + c];
    dx.put(token * width + c, sum);
  });
}

}  // namespace neuroinhib::ops
