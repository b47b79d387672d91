#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/remember/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const Remember<T>& op) {
  cuda.join();  // what has been recalled is being read
  ModuleState<T>& state = *op.state;
  const bool replaces = op.decay == 0 || state.shape.size() == 0;
  if (const Shape shape{op.x.rows(), op.x.cols()}; replaces && state.shape != shape) {
    cuda.next_step_differs();
    state.shape = {};  // until there is room
    state.values.resize(op.x.size());
    state.shape = shape;
  }
  cuda.keeps(state.shape);
  T* kept = state.values.data();
  cuda.parallel_for(op.x.size(), [=] __device__(Index i) {
    kept[i] = replaces ? op.x[i] : op.decay * kept[i] + (1 - op.decay) * op.x[i];
  });
}

template <class T>
void backward(Cuda<T>&, const Remember<T>&) {}

template <class T>
void forward(Cuda<T>& cuda, const Recall<T>& op) {
  const T* kept = op.state->values.data();
  cuda.keeps(op.state->shape);
  T* y = op.y.data;
  cuda.parallel_for(op.y.size(), [=] __device__(Index i) { y[i] = kept[i]; });
}

template <class T>
void backward(Cuda<T>&, const Recall<T>&) {}

}  // namespace neuroinhib::ops
