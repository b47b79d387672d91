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

template <class T>
void backward(Cuda<T>& cuda, const LayerNorm<T>& op) {
  const Index width = op.x.cols(), rows = op.x.rows();
  const T* dy = op.y.gradient;
  if (const auto dx = op.x.claim_gradient())
    cuda.parallel_rows(rows, width, [=] __device__(Index row, const detail::Team<T>& team) {
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
    });
  if (const auto dw = op.weight.claim_gradient())
    cuda.sum_columns(
        rows, width,
        [=] __device__(Index row, Index c) {
          return dy[row * width + c] * (op.x[row * width + c] - op.mean[row]) * op.rstd[row];
        },
        [=] __device__(Index c, T sum) { dw.put(c, sum); });
  if (const auto db = op.bias.claim_gradient())
    cuda.sum_columns(
        rows, width, [=] __device__(Index row, Index c) { return dy[row * width + c]; },
        [=] __device__(Index c, T sum) { db.put(c, sum); });
}

}  // namespace neuroinhib::ops
