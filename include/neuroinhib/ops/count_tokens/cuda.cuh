#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/count_tokens/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const CountTokens<T>& op) {
  const Index tokens = op.marks.size() - 1;
  cuda.parallel_for(tokens, [=] __device__(Index token) { op.marks[token] = op.mark(token); });
  cuda.sum_columns(
      tokens, 1, [=] __device__(Index token, Index) { return op.mark(token); },
      [=] __device__(Index, T sum) { op.marks[tokens] = sum; });
}

template <class T>
void backward(Cuda<T>&, const CountTokens<T>&) {}

}  // namespace neuroinhib::ops
