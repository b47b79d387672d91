#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/layer_norm/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const LayerNorm<T>& op) {
  const Index width = op.x.cols();
  cuda.parallel_rows(op.x.rows(), width, [=] __device__(Index row, const detail::Team<T>& team) {
    const T* x = op.x.data + row * width;
    T sum = 0, squares = 0;
    for (Index c = team.lane; c < width; c += team.size) sum += x[c];
    const T mean = team.sum(sum) / static_cast<T>(width);
    for (Index c = team.lane; c < width; c += team.size) squares += (x[c] - mean) * (x[c] - mean);
    const T rstd = 1 / sqrt(team.sum(squares) / static_cast<T>(width) + op.epsilon);
    for (Index c = team.lane; c < width; c += team.size) {
      const T hat = (x[c] - mean) * rstd;
      op.y[row * width + c] = op.weight.data != nullptr ? hat * op.weight[c] + op.bias[c] : hat;
    }
    if (team.lane != 0) return;
    op.mean[row] = mean;
    op.rstd[row] = rstd;
  });
}

/// All gradients in one kernel, and a second that adds up the parts of long columns: teams of `Size` threads have dx's
/// rows, other blocks dw's and db's columns.
template <int Size, class T>
void gradients(Cuda<T>& cuda, const LayerNorm<T>& op) {
  const Index width = op.x.cols(), rows = op.x.rows();
  const T* dy = op.y.gradient;
  const auto dx = op.x.claim_gradient(), dw = op.weight.claim_gradient(), db = op.bias.claim_gradient();
  const ArenaScope scope(cuda.device_arena());
  const auto of_row = [=] __device__(Index row, const detail::Team<T>& team) {
    const Index first = row * width;
    const auto slope = [&](Index c) { return dy[first + c] * (op.weight.data != nullptr ? op.weight[c] : T{1}); };
    const auto hat = [&](Index c) { return (op.x[first + c] - op.mean[row]) * op.rstd[row]; };
    T sum = 0, inner = 0;
    for (Index c = team.lane; c < width; c += team.size) {
      sum += slope(c);
      inner += slope(c) * hat(c);
    }
    const T mean = team.sum(sum) / static_cast<T>(width);
    inner = team.sum(inner) / static_cast<T>(width);
    for (Index c = team.lane; c < width; c += team.size)
      dx.put(first + c, op.rstd[row] * (slope(c) - mean - hat(c) * inner));
  };
  const auto of_weight = cuda.template ready_columns<detail::kThreads>(
      rows, dw ? width : 0,
      [=] __device__(Index row, Index c) {
        return dy[row * width + c] * (op.x[row * width + c] - op.mean[row]) * op.rstd[row];
      },
      [=] __device__(Index c, T sum) { dw.put(c, sum); });
  const auto of_bias = cuda.template ready_columns<detail::kThreads>(
      rows, db ? width : 0, [=] __device__(Index row, Index c) { return dy[row * width + c]; },
      [=] __device__(Index c, T sum) { db.put(c, sum); });
  cuda.launch_together(detail::row_teams<T, Size>(dx ? rows : 0, of_row), of_weight.of_chunks, of_bias.of_chunks);
  cuda.launch_together(of_weight.of_all, of_bias.of_all);
}

template <class T>
void backward(Cuda<T>& cuda, const LayerNorm<T>& op) {
  if (cuda.needs_blocks(op.x.rows(), op.x.cols()))
    gradients<detail::kThreads>(cuda, op);
  else
    gradients<detail::kWarp>(cuda, op);
}

}  // namespace neuroinhib::ops
