#pragma once

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/batch_pool/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const BatchPool<T>& op) {
  const Index rows = op.x.rows(), width = op.x.cols();
  if (op.pooling == Pooling::row) {
    cpu.parallel_for(op.y.rows(), width, [&](Index b) {
      const T* from = op.x.data + b % rows * width;
      for (Index c = 0; c < width; ++c) op.y[b * width + c] = op.counted(b % rows) ? from[c] : T{0};
    });
    return;
  }
  cpu.parallel_for(width, 2 * rows, [&](Index c) {
    Ranked<T> best(T{0}, -1);
    T sum = 0;
    for (Index row = 0; row < rows; ++row) {
      if (!op.counted(row)) continue;
      const Ranked<T> next(op.x(row, c), row);
      sum += next.score;
      if (best.number < 0 || next.before(best)) best = next;
    }
    op.y[c] = op.pooling == Pooling::max ? best.score : sum / op.counted.number(rows);
    if (op.pooling == Pooling::max) op.winner[c] = best.number;
  });
}

template <class T>
void backward(Cpu<T>& cpu, const BatchPool<T>& op) {
  const auto dx = op.x.gradient_slot();
  const Index rows = op.x.rows(), width = op.x.cols();
  cpu.parallel_for(rows, 2 * width, [&](Index row) {
    for (Index c = 0; c < width; ++c) dx.put(row * width + c, op.slope(row, c));
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
