#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/batch_pool/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const BatchPool<T>& op) {
  const Index rows = op.x.rows(), width = op.x.cols();
  if (op.pooling == Pooling::row) {
    cpu.parallel_for(op.y.rows(), width,
                     [&](Index b) { std::copy_n(op.x.data + b % rows * width, width, op.y.data + b * width); });
    return;
  }
  cpu.parallel_for(width, 2 * rows, [&](Index c) {
    Ranked<T> best(op.x(0, c), 0);
    T sum = best.score;
    for (Index row = 1; row < rows; ++row) {
      const Ranked<T> next(op.x(row, c), row);
      sum += next.score;
      if (next.before(best)) best = next;
    }
    op.y[c] = op.pooling == Pooling::max ? best.score : sum / static_cast<T>(rows);
    if (op.pooling == Pooling::max) op.winner[c] = best.number;
  });
}

template <class T>
void backward(Cpu<T>& cpu, const BatchPool<T>& op) {
  const auto dx = op.x.gradient_slot();
  const Index rows = op.x.rows(), width = op.x.cols();
  const T* dy = op.y.gradient;
  cpu.parallel_for(rows, 2 * width, [&](Index row) {
    for (Index c = 0; c < width; ++c) {
      T value = 0;
      switch (op.pooling) {
        case Pooling::max: value = op.winner[c] == row ? dy[c] : T{0}; break;
        case Pooling::mean: value = dy[c] / static_cast<T>(rows); break;
        case Pooling::row:
          for (Index b = row; b < op.y.rows(); b += rows) value += dy[b * width + c];
          break;
      }
      dx.put(row * width + c, value);
    }
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
