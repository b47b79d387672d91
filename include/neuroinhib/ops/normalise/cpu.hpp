#pragma once

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/normalise/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
[[nodiscard]] T row_sum(const View<T>& x, Index row) {
  T sum = 0;
  for (Index c = 0; c < x.cols(); ++c) sum += x(row, c);
  return sum;
}

template <class T>
void forward(Cpu<T>& cpu, const Normalise<T>& op) {
  cpu.parallel_for(op.x.rows(), 2 * op.x.cols(), [&](Index row) {
    const T divisor = op.divisor(row_sum<T>(op.x, row));
    for (Index c = 0; c < op.x.cols(); ++c) op.y(row, c) = op.x(row, c) / divisor;
  });
}

template <class T>
void backward(Cpu<T>& cpu, const Normalise<T>& op) {
  const auto dx = op.x.gradient_slot();
  const Index columns = op.x.cols();
  cpu.parallel_for(op.x.rows(), 3 * columns, [&](Index row) {
    const T* dy = op.y.gradient + row * columns;
    T inner = 0;
    for (Index c = 0; c < columns; ++c) inner += dy[c] * op.y(row, c);
    const T sum = row_sum<T>(op.x, row);
    for (Index c = 0; c < columns; ++c) dx.put(row * columns + c, op.slope(dy[c] - inner, sum));
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
