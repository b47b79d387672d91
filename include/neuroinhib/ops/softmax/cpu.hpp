#pragma once

#include <cmath>

#include <neuroinhib/ops/map/lanes.hpp>
#include <neuroinhib/ops/reduce/cpu_fold.hpp>
#include <neuroinhib/ops/softmax/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Softmax of one row; returns log Σ exp.
template <class T>
T softmax_row(const T* x, T* y, Index columns) {
  const T largest = fold_line(x, columns, Maximum{});
  for_each_line<T>(columns,
                   [&](Index c, auto lanes) { (Lanes<T>::load(x + c, lanes) - largest).exp().store(y + c, lanes); });
  const T sum = fold_line(y, columns, Plus{});
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
  const auto dx = op.x.claim_gradient();
  const Index columns = op.x.cols();
  cpu.parallel_for(op.x.rows(), 2 * columns, [&](Index row) {
    const Index first = row * columns;
    const T *y = op.y.data + first, *dy = op.y.gradient + first;
    const T inner = inner_product(dy, y, columns);
    for (Index c = 0; c < columns; ++c) dx.put(first + c, y[c] * (dy[c] - inner));
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
