#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/batch_pool/op.hpp>

namespace neuroinhib::ops {

/// One warp a column; the first of equals wins.
template <class T>
void pool_largest(Cuda<T>& cuda, const BatchPool<T>& op) {
  const Index rows = op.x.rows(), width = op.x.cols();
  cuda.parallel_rows(width, 1, [=] __device__(Index c, const detail::Team<T>& team) {
    const int first = static_cast<int>(team.lane < rows ? team.lane : 0);
    Ranked<T> best(op.x[first * width + c], first);
    const auto consider = [&](const Ranked<T>& other) {
      if (other.before(best)) best = other;
    };
    for (int row = first + team.size; row < rows; row += team.size) consider({op.x[row * width + c], row});
    for (int step = team.size / 2; step > 0; step /= 2)
      consider({__shfl_xor_sync(0xffffffffu, best.score, step), __shfl_xor_sync(0xffffffffu, best.number, step)});
    if (team.lane != 0) return;
    op.y[c] = best.score;
    op.winner[c] = best.number;
  });
}

template <class T>
void forward(Cuda<T>& cuda, const BatchPool<T>& op) {
  const Index rows = op.x.rows(), width = op.x.cols();
  switch (op.pooling) {
    case Pooling::row:
      return cuda.parallel_grid(op.y.rows(), width,
                                [=] __device__(Index b, Index c) { op.y[b * width + c] = op.x[b % rows * width + c]; });
    case Pooling::mean:
      return cuda.sum_columns(
          rows, width, [=] __device__(Index row, Index c) { return op.x[row * width + c]; },
          [=] __device__(Index c, T sum) { op.y[c] = sum / static_cast<T>(rows); });
    case Pooling::max: return pool_largest(cuda, op);
  }
}

template <class T>
void backward(Cuda<T>& cuda, const BatchPool<T>& op) {
  const auto dx = op.x.gradient_slot();
  const Index rows = op.x.rows(), width = op.x.cols(), taken = op.y.rows();
  const T* dy = op.y.gradient;
  cuda.parallel_grid(rows, width, [=] __device__(Index row, Index c) {
    T value = 0;
    switch (op.pooling) {
      case Pooling::max: value = op.winner[c] == row ? dy[c] : T{0}; break;
      case Pooling::mean: value = dy[c] / static_cast<T>(rows); break;
      case Pooling::row:
        for (Index b = row; b < taken; b += rows) value += dy[b * width + c];
        break;
    }
    dx.put(row * width + c, value);
  });
}

}  // namespace neuroinhib::ops
