#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/softmax/op.hpp>

namespace neuroinhib::ops {

/// Softmax of one row by one team; log Σ exp on every thread of it. A thread holds its first numbers in registers.
template <class T>
__device__ T softmax_row(const T* x, T* y, Index columns, const detail::Team<T>& team) {
  constexpr int kHeld = 4;
  const Index first = team.lane, step = team.size, rest = first + kHeld * step;
  T held[kHeld], largest = x[0], sum = 0;
#pragma unroll
  for (int i = 0; i < kHeld; ++i) held[i] = first + i * step < columns ? x[first + i * step] : largest;
  const auto take = [&](T number) { largest = number > largest || number != number ? number : largest; };
#pragma unroll
  for (const T number : held) take(number);
  for (Index c = rest; c < columns; c += step) take(x[c]);
  largest = team.max(largest);
#pragma unroll
  for (int i = 0; i < kHeld; ++i)
    if (first + i * step < columns) sum += held[i] = exp(held[i] - largest);
  for (Index c = rest; c < columns; c += step) sum += y[c] = exp(x[c] - largest);
  sum = team.sum(sum);
#pragma unroll
  for (int i = 0; i < kHeld; ++i)
    if (first + i * step < columns) y[first + i * step] = held[i] / sum;
  for (Index c = rest; c < columns; c += step) y[c] /= sum;
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
