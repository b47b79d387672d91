#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/take_slots/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const TakeSlots<T>& op) {
  const Index width = op.x.cols(), chosen = op.plan.chosen();
  cpu.parallel_for(op.y.rows(), width, [&](Index place) {
    std::copy_n(op.x.data + op.plan.order[place] / chosen * width, width, op.y.data + place * width);
  });
}

template <class T>
void backward(Cpu<T>& cpu, const TakeSlots<T>& op) {
  const auto dx = op.x.claim_gradient();
  const Index width = op.x.cols(), chosen = op.plan.chosen();
  cpu.parallel_for(op.plan.tokens(), chosen * width, [&](Index token) {
    T* sum = dx.data + token * width;
    if (!dx.add) std::fill_n(sum, width, T{0});
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot) {
      const Index place = op.plan.position[slot];
      for (Index c = 0; c < width && place < op.y.rows(); ++c) sum[c] += op.y.gradient[place * width + c];
    }
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
