#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/combine/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const Combine<T>& op) {
  const Index width = op.y.cols(), chosen = op.plan.chosen();
  cpu.parallel_for(op.plan.tokens(), chosen * width, [&](Index token) {
    T* y = op.y.data + token * width;
    std::fill_n(y, width, T{0});
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot) {
      const T* output = op.expert_output.data + op.plan.position[slot] * width;
      for (Index c = 0; c < width; ++c) y[c] += op.gates[slot] * output[c];
    }
  });
}

template <class T>
void backward(Cpu<T>& cpu, const Combine<T>& op) {
  const Index width = op.y.cols(), chosen = op.plan.chosen();
  const auto doutput = op.expert_output.claim_gradient();
  const auto dgates = op.gates.claim_gradient();
  cpu.parallel_for(op.plan.tokens(), 2 * chosen * width, [&](Index token) {
    const T* dy = op.y.gradient + token * width;
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot) {
      const Index first = op.plan.position[slot] * width;
      T inner = 0;
      for (Index c = 0; c < width; ++c) {
        inner += dy[c] * op.expert_output[first + c];
        if (doutput) doutput.put(first + c, op.gates[slot] * dy[c]);
      }
      if (dgates) dgates.put(slot, inner);
    }
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
