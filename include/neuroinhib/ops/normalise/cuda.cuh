#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/normalise/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const Normalise<T>& op) {
  const Index columns = op.x.cols();
  cuda.parallel_rows(op.x.rows(), columns, [=] __device__(Index row, const detail::Team<T>& team) {
    const T* x = op.x.data + row * columns;
    T sum = 0;
    for (Index c = team.lane; c < columns; c += team.size) sum += x[c];
    const T divisor = op.divisor(team.sum(sum));
    for (Index c = team.lane; c < columns; c += team.size) op.y[row * columns + c] = x[c] / divisor;
  });
}

template <class T>
void backward(Cuda<T>& cuda, const Normalise<T>& op) {
  const auto dx = op.x.claim_gradient();
  const Index columns = op.x.cols();
  cuda.parallel_rows(op.x.rows(), columns, [=] __device__(Index row, const detail::Team<T>& team) {
    const Index first = row * columns;
    T sum = 0, inner = 0;
    for (Index c = team.lane; c < columns; c += team.size) {
      sum += op.x[first + c];
      inner += op.y.gradient[first + c] * op.y[first + c];
    }
    sum = team.sum(sum);
    inner = team.sum(inner);
    for (Index c = team.lane; c < columns; c += team.size)
      dx.put(first + c, op.slope(op.y.gradient[first + c] - inner, sum));
  });
}

}  // namespace neuroinhib::ops
