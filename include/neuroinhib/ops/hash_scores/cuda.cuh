#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/hash_scores/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const HashScores<T>& op) {
  cuda.parallel_for(op.ids.size(), [=] __device__(Index token) { op.fill(token); });
}

template <class T>
void backward(Cuda<T>&, const HashScores<T>&) {}

}  // namespace neuroinhib::ops
