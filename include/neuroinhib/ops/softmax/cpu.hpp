#pragma once

#include <algorithm>
#include <cmath>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/softmax/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Softmax of one row; returns log Σ exp.
template <class T>
T softmax_row(const T* x, T* y, Index columns) {
  const T largest = *std::max_element(x, x + columns);
  T sum = 0;
  for (Index c = 0; c < columns; ++c) sum += y[c] = std::exp(x[c] - largest);
  for (Index c = 0; c < columns; ++c) y[c] /= sum;
  return largest + std::log(sum);
}

template <class T>
void forward(Cpu<T>& cpu, const Softmax<T>& op) {
  const Index columns = op.x.cols();
  cpu.parallel_for(op.x.rows(), columns * cost::exponential,
                   [&](Index row) { softmax_row(op.x.data + row * columns, op.y.data + row * columns, columns); });
}

template <class T>
void backward(Cpu<T>& cpu, const Softmax<T>& op) {
  const auto dx = op.x.gradient_slot();
  const Index columns = op.x.cols();
  cpu.parallel_for(op.x.rows(), 2 * columns, [&](Index row) {
    const Index first = row * columns;
    T inner = 0;
    for (Index c = 0; c < columns; ++c) inner += op.y.gradient[first + c] * op.y[first + c];
    for (Index c = 0; c < columns; ++c) dx.put(first + c, op.y[first + c] * (op.y.gradient[first + c] - inner));
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
