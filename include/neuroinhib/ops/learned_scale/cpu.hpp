#pragma once

#include <neuroinhib/ops/elementwise/cpu.hpp>
#include <neuroinhib/ops/learned_scale/op.hpp>
#include <neuroinhib/ops/reduce/cpu_fold.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const LearnedScale<T>& op) {
  const T factor = op.factor();
  cpu.parallel_blocks(op.x.size(), 1, kElementBlock, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) op.y[i] = factor * op.x[i];
  });
}

template <class T>
void backward(Cpu<T>& cpu, const LearnedScale<T>& op) {
  pass_gradient(cpu, op.y, op.x.claim_gradient(), op.factor());
  const auto slot = op.log_factor.claim_gradient();
  if (!slot) return;
  const auto products = [&](Index, Index column, Index count, T* buffer) {
    for (Index i = 0; i < count; ++i) buffer[i] = op.y.gradient[column + i] * op.y[column + i];
    return static_cast<const T*>(buffer);
  };
  if (op.limited())
    slot.put(0, 0);
  else
    fold_rows<T>(cpu, 1, op.y.size(), 2, Plus{}, products, [&](Index, T sum) { slot.put(0, sum); });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
