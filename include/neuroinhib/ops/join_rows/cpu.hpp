#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/join_rows/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const JoinRows<T>& op) {
  const Index width = op.y.cols();
  cpu.parallel_for(op.y.rows(), width, [&](Index row) {
    const Index from = op.source(row);
    std::copy_n(from < op.a.size() ? op.a.data + from : op.b.data + from - op.a.size(), width, op.y.data + row * width);
  });
}

template <class T>
void backward(Cpu<T>& cpu, const JoinRows<T>& op) {
  const Index width = op.y.cols();
  const auto da = cleared_slot(cpu, op.a), db = cleared_slot(cpu, op.b);
  cpu.parallel_for(op.y.rows(), width, [&](Index row) {
    const Index from = op.source(row);
    const bool of_a = from < op.a.size();
    const auto& slot = of_a ? da : db;
    if (!slot) return;
    T* to = slot.data + from - (of_a ? 0 : op.a.size());
    for (Index c = 0; c < width; ++c) to[c] += op.y.gradient[row * width + c];
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
