#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/head_choice/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const MeanEntropy<T>& op) {
  const Index heads = op.entropy.cols(), rows = op.entropy.rows();
  const ArenaScope scope(cuda.device_arena());
  T* sums = cuda.template kernel_memory<T>(heads + 1);
  const int* document = op.document.data;
  cuda.sum_columns(
      rows, heads + 1,
      [=] __device__(Index row, Index h) {
        if (document != nullptr && document[row] < 0) return T{0};
        return h < heads ? op.entropy[row * heads + h] : T{1};
      },
      [=] __device__(Index h, T sum) { sums[h] = sum; });
  cuda.parallel_for(heads, [=] __device__(Index h) { op.mean[h] = sums[h] / max(sums[heads], T{1}); });
}

template <class T>
void backward(Cuda<T>&, const MeanEntropy<T>&) {}

template <class T>
void forward(Cuda<T>& cuda, const LowestHead<T>& op) {
  cuda.parallel_for(1, [=] __device__(Index) { op.choose(); });
}

template <class T>
void backward(Cuda<T>&, const LowestHead<T>&) {}

}  // namespace neuroinhib::ops
