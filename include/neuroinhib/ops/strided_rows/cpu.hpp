#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/strided_rows/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const StridedRows<T>& op) {
  const Index width = op.y.cols();
  cpu.parallel_for(op.y.rows(), width, [&](Index row) {
    std::copy_n(op.x.data + (op.first + row * op.step) * width, width, op.y.data + row * width);
  });
}

template <class T>
void backward(Cpu<T>& cpu, const StridedRows<T>& op) {
  const Index width = op.y.cols();
  const auto dx = op.x.claim_gradient();
  if (!dx.add) cpu.fill(dx.data, op.x.size(), T{0});
  cpu.parallel_for(op.y.rows(), width, [&](Index row) {
    for (Index c = 0; c < width; ++c) dx.data[(op.first + row * op.step) * width + c] += op.y.gradient[row * width + c];
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
