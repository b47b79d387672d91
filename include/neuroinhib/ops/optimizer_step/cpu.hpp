#pragma once

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/optimizer_step/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

inline constexpr Index kUpdateBlock = 16384;

template <class T, class Update>
void update_all(const Cpu<T>& cpu, const Update& op) {
  const auto rates = op.rates(++op.step.counter->updates, op.step.factor);
  cpu.parallel_blocks(op.size, 4, kUpdateBlock, [&](Index begin, Index end) { op.apply(begin, end, rates); });
}

template <class T>
void forward(Cpu<T>& cpu, const AdamUpdate<T>& op) {
  update_all(cpu, op);
}

template <class T>
void forward(Cpu<T>& cpu, const SgdUpdate<T>& op) {
  update_all(cpu, op);
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
