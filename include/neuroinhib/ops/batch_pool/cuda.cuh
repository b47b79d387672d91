#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/batch_pool/op.hpp>

namespace neuroinhib::ops {

/// One warp a column; the first of equals wins.
template <class T>
void pool_largest(Cuda<T>& cuda, const BatchPool<T>& op) {
  const Index rows = op.x.rows(), width = op.x.cols();
  cuda.parallel_rows(width, 1, [=] __device__(Index c, const detail::Team<T>& team) {
    Ranked<T> best(T{0}, -1);
    const auto consider = [&](const Ranked<T>& other) {
      if (other.number >= 0 && (best.number < 0 || other.before(best))) best = other;
    };
    for (int row = team.lane; row < rows; row += team.size)
      if (op.counted(row)) consider({op.x[row * width + c], row});
    for (int step = team.size / 2; step > 0; step /= 2)
      consider({__shfl_xor_sync(0xffffffffu, best.score, step), __shfl_xor_sync(0xffffffffu, best.number, step)});
    if (team.lane != 0) return;
    op.y[c] = best.number < 0 ? op.nothing : best.score;
    op.winner[c] = best.number;
  });
}

template <class T>
void forward(Cuda<T>& cuda, const BatchPool<T>& op) {
  const Index rows = op.x.rows(), width = op.x.cols();
  switch (op.pooling) {
    case Pooling::row:
      return cuda.parallel_grid(op.y.rows(), width, [=] __device__(Index b, Index c) {
        op.y[b * width + c] = op.counted(b % rows) ? op.x[b % rows * width + c] : T{0};
      });
    case Pooling::mean:
      return cuda.sum_columns(
          rows, width, [=] __device__(Index row, Index c) { return op.counted(row) ? op.x[row * width + c] : T{0}; },
          [=] __device__(Index c, T sum) { op.y[c] = sum / op.counted.number(rows); });
    case Pooling::max: return pool_largest(cuda, op);
  }
}

template <class T>
void backward(Cuda<T>& cuda, const BatchPool<T>& op) {
  const auto dx = op.x.claim_gradient();
  const Index rows = op.x.rows(), width = op.x.cols();
  cuda.parallel_grid(rows, width, [=] __device__(Index row, Index c) { dx.put(row * width + c, op.slope(row, c)); });
}

}  // namespace neuroinhib::ops
