#pragma once

#include <utility>

#include <neuroinhib/ops/gate/op.hpp>
#include <neuroinhib/ops/map/cpu.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const Gate<T>& op) {
  const Index width = op.z.cols();
  cpu.parallel_for(op.z.rows(), width * (op.count + cost::exponential), [&](Index row) {
    const Index first = row * width;
    ArrayMap<T> mask(op.mask.data + first, width), y(op.y.data + first, width);
    const auto value = [&](const GateTerm<T>& term) {
      return ConstArrayMap<T>(term.value.data + (term.value.rows() == 1 ? 0 : first), width);
    };
    mask.setZero();
    for (Index t = 0; t < op.count; ++t)
      if (op.inner(op.terms[t])) mask += value(op.terms[t]);
    mask = mask.logistic();
    y = ConstArrayMap<T>(op.z.data + first, width) * mask;
    for (Index t = 0; t < op.count; ++t)
      if (!op.inner(op.terms[t])) y += value(op.terms[t]);
  });
}

/// dz, and the gradients of a term within σ and of one without, from z, mask and dy.
struct GateGradients {
  static constexpr int kInputs = 3, kOutputs = 3;
  static constexpr bool kVectorised = true;

  template <class X>
  Partials<X, 3> operator()(const X* x) const {
    return {{x[2] * x[1], x[2] * x[0] * x[1] * (1 - x[1]), x[2]}};
  }
};

template <class T>
void backward(Cpu<T>& cpu, const Gate<T>& op) {
  const Operands<T, 3> in(op.y.shape, {op.z, op.mask, View<const T>{op.y.gradient, op.y.shape}});
  const Grid grid{op.z.rows(), op.z.cols()};
  GradientSlot<T> dz = op.z.claim_gradient();
  for (Index t = 0; t < op.count; ++t) {
    const Tensor<T>& value = op.terms[t].value;
    const auto dterm = value.claim_gradient();
    const int output = op.inner(op.terms[t]) ? 1 : 2;
    if (!dterm) continue;
    if (value.rows() != grid.rows) {
      fold_output(cpu, in, grid, GateGradients{}, output, Shape{1, grid.columns}, dterm);
      continue;
    }
    GradientSlot<T> slots[3] = {std::exchange(dz, {})};
    slots[output] = dterm;
    evaluate(cpu, in, GateGradients{}, slots);
  }
  evaluate(cpu, in, GateGradients{}, {dz, {}, {}});
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
