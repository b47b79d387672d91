#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/head_choice/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>&, const MeanEntropy<T>& op) {
  const Index heads = op.entropy.cols();
  std::fill(op.mean.begin(), op.mean.end(), T{0});
  for (Index row = 0; row < op.entropy.rows(); ++row)
    for (Index h = 0; h < heads && op.counted(row); ++h) op.mean[h] += op.entropy(row, h);
  for (T& mean : op.mean) mean /= op.counted.number(op.entropy.rows());
}

template <class T>
void backward(Cpu<T>&, const MeanEntropy<T>&) {}

template <class T>
void forward(Cpu<T>&, const LowestHead<T>& op) {
  op.choose();
}

template <class T>
void backward(Cpu<T>&, const LowestHead<T>&) {}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
