#pragma once

#include <cmath>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/backend/eigen.hpp>
#include <neuroinhib/ops/layer_norm/op.hpp>
#include <neuroinhib/ops/reduce/cpu_fold.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const LayerNorm<T>& op) {
  const Index width = op.x.cols();
  cpu.parallel_for(op.x.rows(), 4 * width, [&](Index row) {
    const ConstArrayMap<T> x(op.x.data + row * width, width);
    ArrayMap<T> y(op.y.data + row * width, width);
    // Of x · 1, since Eigen adds up an array itself in an order that its address decides.
    const T mean = (x * T{1}).mean();
    const T rstd = 1 / std::sqrt((x - mean).square().mean() + op.epsilon);
    y = (x - mean) * rstd;
    if (op.weight.defined()) y = y * ConstArrayMap<T>(op.weight.data, width) + ConstArrayMap<T>(op.bias.data, width);
    op.mean[row] = mean;
    op.rstd[row] = rstd;
  });
}

template <class T>
void backward(Cpu<T>& cpu, const LayerNorm<T>& op) {
  const Index width = op.x.cols(), rows = op.x.rows();
  const T* dy = op.y.gradient;
  if (const auto dx = op.x.claim_gradient())
    cpu.parallel_tasks(rows, 6 * width, 2 * width, [&](Index row, T* scratch) {
      ArrayMap<T> hat(scratch, width), slope(scratch + width, width);
      hat = (ConstArrayMap<T>(op.x.data + row * width, width) - op.mean[row]) * op.rstd[row];
      slope = ConstArrayMap<T>(dy + row * width, width);
      if (op.weight.defined()) slope *= ConstArrayMap<T>(op.weight.data, width);
      const T mean = slope.mean(), inner = (slope * hat).mean();
      for (Index c = 0; c < width; ++c) dx.put(row * width + c, op.rstd[row] * (slope[c] - mean - hat[c] * inner));
    });
  if (const auto dw = op.weight.claim_gradient())
    fold_columns<T>(
        cpu, rows, width, 2, Plus{},
        [&](Index row, Index column, Index count, T* buffer) {
          const Index first = row * width + column;
          for (Index i = 0; i < count; ++i) buffer[i] = dy[first + i] * (op.x[first + i] - op.mean[row]) * op.rstd[row];
          return static_cast<const T*>(buffer);
        },
        [&](Index c, T sum) { dw.put(c, sum); });
  if (const auto db = op.bias.claim_gradient())
    fold_columns<T>(
        cpu, rows, width, 1, Plus{},
        [&](Index row, Index column, Index, T*) { return static_cast<const T*>(dy + row * width + column); },
        [&](Index c, T sum) { db.put(c, sum); });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
