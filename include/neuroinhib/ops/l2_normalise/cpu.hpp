#pragma once

#include <algorithm>
#include <cmath>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/l2_normalise/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const L2Normalise<T>& op) {
  const Index columns = op.x.cols();
  cpu.parallel_for(op.x.rows(), 2 * columns, [&](Index row) {
    const T* x = op.x.data + row * columns;
    T squares = 0;
    for (Index c = 0; c < columns; ++c) squares += x[c] * x[c];
    op.lengths[row] = op.floored(std::sqrt(squares));
    for (Index c = 0; c < columns; ++c) op.y[row * columns + c] = x[c] / op.lengths[row];
  });
}

template <class T>
void backward(Cpu<T>& cpu, const L2Normalise<T>& op) {
  const auto dx = op.x.gradient_slot();
  const Index columns = op.x.cols();
  cpu.parallel_for(op.x.rows(), 2 * columns, [&](Index row) {
    const Index first = row * columns;
    T inner = 0;
    for (Index c = first; c < first + columns; ++c) inner += op.y.gradient[c] * op.y[c];
    for (Index c = first; c < first + columns; ++c)
      dx.put(c, op.slope(op.y.gradient[c] - inner * op.y[c], op.lengths[row]));
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
