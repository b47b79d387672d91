#pragma once

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/elementwise/op.hpp>
#include <neuroinhib/ops/map/lanes.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const Sum<T>& op) {
  cpu.parallel_blocks(op.y.size(), op.count, kElementBlock, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) op.y[i] = op.inputs[0][i];
    for (Index t = 1; t < op.count; ++t)
      for (Index i = begin; i < end; ++i) op.y[i] += op.inputs[t][i];
  });
}

/// slot (+)= factor · dy.
template <class T>
void pass_gradient(Cpu<T>& cpu, const Tensor<T>& y, const GradientSlot<T>& slot, T factor) {
  if (!slot) return;
  cpu.parallel_blocks(y.size(), 1, kElementBlock, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) slot.put(i, factor * y.gradient[i]);
  });
}

template <class T>
void backward(Cpu<T>& cpu, const Sum<T>& op) {
  for (Index t = 0; t < op.count; ++t) pass_gradient(cpu, op.y, op.inputs[t].claim_gradient(), T{1});
}

template <class T>
void forward(Cpu<T>& cpu, const Scale<T>& op) {
  cpu.parallel_blocks(op.y.size(), 1, kElementBlock, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) op.y[i] = op.factor * op.x[i];
  });
}

template <class T>
void backward(Cpu<T>& cpu, const Scale<T>& op) {
  pass_gradient(cpu, op.y, op.x.claim_gradient(), op.factor);
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
