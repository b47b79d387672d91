#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/softmax/op.hpp>

namespace neuroinhib::ops {

/// Softmax of one row by one team; log Σ exp on every thread of it.
template <class T>
__device__ T softmax_row(const T* x, T* y, Index columns, const detail::Team<T>& team) {
  T largest = x[0];
  for (Index c = team.lane; c < columns; c += team.size) largest = x[c] > largest || x[c] != x[c] ? x[c] : largest;
  largest = team.max(largest);
  T sum = 0;
  for (Index c = team.lane; c < columns; c += team.size) sum += y[c] = exp(x[c] - largest);
  sum = team.sum(sum);
  for (Index c = team.lane; c < columns; c += team.size) y[c] /= sum;
  return largest + log(sum);
}

template <class T>
void forward(Cuda<T>& cuda, const Softmax<T>& op) {
  const Index columns = op.x.cols();
  cuda.parallel_rows(op.x.rows(), columns, [=] __device__(Index row, const detail::Team<T>& team) {
    softmax_row(op.x.data + row * columns, op.y.data + row * columns, columns, team);
  });
}

template <class T>
void backward(Cuda<T>& cuda, const Softmax<T>& op) {
  const auto dx = op.x.claim_gradient();
  const Index columns = op.x.cols();
  cuda.parallel_rows(op.x.rows(), columns, [=] __device__(Index row, const detail::Team<T>& team) {
    const Index first = row * columns;
    T inner = 0;
    for (Index c = team.lane; c < columns; c += team.size) inner += op.y.gradient[first + c] * op.y[first + c];
    inner = team.sum(inner);
    for (Index c = team.lane; c < columns; c += team.size)
      dx.put(first + c, op.y[first + c] * (op.y.gradient[first + c] - inner));
  });
}

}  // namespace neuroinhib::ops
