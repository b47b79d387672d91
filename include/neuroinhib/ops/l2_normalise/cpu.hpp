#pragma once

#include <algorithm>
#include <cmath>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/l2_normalise/op.hpp>
#include <neuroinhib/ops/reduce/cpu_fold.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const L2Normalise<T>& op) {
  const Index columns = op.x.cols();
  cpu.parallel_for(op.x.rows(), 2 * columns, [&](Index row) {
    const T* x = op.x.data + row * columns;
    T unit = 1, squares = inner_product(x, x, columns);
    if (std::isinf(squares)) {
      unit = squares = 0;
      for (Index c = 0; c < columns; ++c) unit = std::max(unit, std::abs(x[c]));
      for (Index c = 0; c < columns; ++c) squares += x[c] / unit * (x[c] / unit);
    }
    const T length = op.floored(std::sqrt(squares));
    for (Index c = 0; c < columns; ++c) op.y[row * columns + c] = x[c] / unit / length;
    op.lengths[row] = unit * length;
  });
}

template <class T>
void backward(Cpu<T>& cpu, const L2Normalise<T>& op) {
  const auto dx = op.x.claim_gradient();
  const Index columns = op.x.cols();
  cpu.parallel_for(op.x.rows(), 2 * columns, [&](Index row) {
    const Index first = row * columns;
    const T inner = inner_product<T>(op.y.gradient + first, op.y.data + first, columns);
    for (Index c = first; c < first + columns; ++c)
      dx.put(c, op.slope(op.y.gradient[c] - inner * op.y[c], op.lengths[row]));
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
