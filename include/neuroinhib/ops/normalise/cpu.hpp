#pragma once

#include <neuroinhib/ops/normalise/op.hpp>
#include <neuroinhib/ops/reduce/cpu_fold.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const Normalise<T>& op) {
  const Index columns = op.x.cols();
  cpu.parallel_for(op.x.rows(), 2 * columns, [&](Index row) {
    const T* x = op.x.data + row * columns;
    T* y = op.y.data + row * columns;
    const T divisor = op.divisor(fold_line(x, columns, Plus{}));
    for (Index c = 0; c < columns; ++c) y[c] = x[c] / divisor;
  });
}

template <class T>
void backward(Cpu<T>& cpu, const Normalise<T>& op) {
  const auto dx = op.x.claim_gradient();
  const Index columns = op.x.cols();
  cpu.parallel_for(op.x.rows(), 3 * columns, [&](Index row) {
    const Index first = row * columns;
    const T* dy = op.y.gradient + first;
    const T inner = inner_product(dy, op.y.data + first, columns), sum = fold_line(op.x.data + first, columns, Plus{});
    for (Index c = 0; c < columns; ++c) dx.put(first + c, op.slope(dy[c] - inner, sum));
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
