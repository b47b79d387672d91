#pragma once

#include <algorithm>
#include <cmath>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/exp_scale/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const ExpScale<T>& op) {
  const T factor = op.factor();
  cpu.parallel_for(op.x.size(), [&](Index i) { op.y[i] = factor * op.x[i]; });
}

template <class T>
void backward(Cpu<T>& cpu, const ExpScale<T>& op) {
  const T factor = op.factor();
  if (const auto dx = op.x.gradient_slot())
    cpu.parallel_for(op.x.size(), [&](Index i) { dx.put(i, factor * op.y.gradient[i]); });
  const auto slot = op.log_factor.gradient_slot();
  if (!slot) return;
  T sum = 0;
  if (!op.limited())
    for (Index i = 0; i < op.y.size(); ++i) sum += op.y.gradient[i] * op.y[i];
  slot.put(0, sum);
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
