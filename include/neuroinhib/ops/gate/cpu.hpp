#pragma once

#include <neuroinhib/ops/activation/cpu.hpp>
#include <neuroinhib/ops/gate/op.hpp>

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

template <class T>
void backward(Cpu<T>& cpu, const Gate<T>& op) {
  const Index width = op.z.cols(), rows = op.z.rows();
  const T* dy = op.y.gradient;
  const auto gradient = [&](bool inner, Index i) {
    return inner ? dy[i] * op.z[i] * op.mask[i] * (1 - op.mask[i]) : dy[i];
  };
  if (const auto dz = op.z.gradient_slot())
    cpu.parallel_for(rows, width, [&](Index row) {
      for (Index i = row * width; i < (row + 1) * width; ++i) dz.put(i, dy[i] * op.mask[i]);
    });
  for (Index t = 0; t < op.count; ++t) {
    const auto slot = op.terms[t].value.gradient_slot();
    if (!slot) continue;
    const bool inner = op.inner(op.terms[t]);
    if (op.terms[t].value.rows() == rows) {
      cpu.parallel_for(rows, width, [&](Index row) {
        for (Index i = row * width; i < (row + 1) * width; ++i) slot.put(i, gradient(inner, i));
      });
    } else {
      cpu.parallel_for(width, rows, [&](Index c) {
        T sum = 0;
        for (Index row = 0; row < rows; ++row) sum += gradient(inner, row * width + c);
        slot.put(c, sum);
      });
    }
  }
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
