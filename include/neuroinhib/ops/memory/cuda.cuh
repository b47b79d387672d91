#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/memory/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const Remember<T>& op) {
  Buffer<T>& buffer = *op.buffer;
  const bool replaces = op.decay == 0 || buffer.shape.size() == 0;
  if (const Shape shape{op.x.rows(), op.x.cols()}; replaces && buffer.shape != shape) {
    buffer.values.resize(op.x.size());
    buffer.shape = shape;
    cuda.next_step_differs();
  }
  T* kept = buffer.values.data();
  cuda.parallel_for(op.x.size(), [=] __device__(Index i) {
    kept[i] = replaces ? op.x[i] : op.decay * kept[i] + (1 - op.decay) * op.x[i];
  });
}

template <class T>
void backward(Cuda<T>&, const Remember<T>&) {}

template <class T>
void forward(Cuda<T>& cuda, const Recall<T>& op) {
  const T* kept = op.buffer->values.data();
  T* y = op.y.data;
  cuda.parallel_for(op.y.size(), [=] __device__(Index i) { y[i] = kept[i]; });
}

template <class T>
void backward(Cuda<T>&, const Recall<T>&) {}

}  // namespace neuroinhib::ops
