#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/l2_normalise/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const L2Normalise<T>& op) {
  const Index columns = op.x.cols();
  cuda.parallel_rows(op.x.rows(), columns, [=] __device__(Index row, const detail::Team<T>& team) {
    const T* x = op.x.data + row * columns;
    T unit = 1, squares = 0;
    for (Index c = team.lane; c < columns; c += team.size) squares += x[c] * x[c];
    squares = team.sum(squares);
    if (isinf(squares)) {
      unit = squares = 0;
      for (Index c = team.lane; c < columns; c += team.size) unit = abs(x[c]) > unit ? abs(x[c]) : unit;
      unit = team.max(unit);
      for (Index c = team.lane; c < columns; c += team.size) squares += x[c] / unit * (x[c] / unit);
      squares = team.sum(squares);
    }
    const T length = op.floored(sqrt(squares));
    for (Index c = team.lane; c < columns; c += team.size) op.y[row * columns + c] = x[c] / unit / length;
    if (team.lane == 0) op.lengths[row] = unit * length;
  });
}

template <class T>
void backward(Cuda<T>& cuda, const L2Normalise<T>& op) {
  const auto dx = op.x.claim_gradient();
  const Index columns = op.x.cols();
  cuda.parallel_rows(op.x.rows(), columns, [=] __device__(Index row, const detail::Team<T>& team) {
    const Index first = row * columns;
    T inner = 0;
    for (Index c = team.lane; c < columns; c += team.size) inner += op.y.gradient[first + c] * op.y[first + c];
    inner = team.sum(inner);
    for (Index c = team.lane; c < columns; c += team.size)
      dx.put(first + c, op.slope(op.y.gradient[first + c] - inner * op.y[first + c], op.lengths[row]));
  });
}

}  // namespace neuroinhib::ops
