#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/expert_load/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>&, const ExpertLoad<T>& op) {
  std::fill(op.load.begin(), op.load.end(), T{0});
  for (Index slot = 0; slot < op.plan.slots(); ++slot)
    if (op.plan.expert[slot] < op.plan.experts && op.counted(slot / op.plan.chosen()))
      op.load[op.plan.expert[slot]] += 1;
}

template <class T>
void backward(Cpu<T>&, const ExpertLoad<T>&) {}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
