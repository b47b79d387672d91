#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/combine/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const Combine<T>& op) {
  const Index width = op.y.cols(), chosen = op.plan.chosen();
  cuda.parallel_grid(op.plan.tokens(), width, [=] __device__(Index token, Index c) {
    T sum = 0;
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot)
      sum += op.gates[slot] * op.expert_output[op.plan.position[slot] * width + c];
    op.y[token * width + c] = sum;
  });
}

template <class T>
void backward(Cuda<T>& cuda, const Combine<T>& op) {
  const Index width = op.y.cols(), chosen = op.plan.chosen();
  const auto doutput = op.expert_output.claim_gradient(), dgates = op.gates.claim_gradient();
  cuda.parallel_rows(op.plan.slots(), width, [=] __device__(Index slot, const detail::Team<T>& team) {
    const T* dy = op.y.gradient + slot / chosen * width;
    const Index first = op.plan.position[slot] * width;
    T inner = 0;
    for (Index c = team.lane; c < width; c += team.size) {
      inner += dy[c] * op.expert_output[first + c];
      if (doutput) doutput.put(first + c, op.gates[slot] * dy[c]);
    }
    inner = team.sum(inner);
    if (dgates && team.lane == 0) dgates.put(slot, inner);
  });
}

}  // namespace neuroinhib::ops
