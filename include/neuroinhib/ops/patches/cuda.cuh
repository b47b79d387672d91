#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/patches/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const Patches<T>& op) {
  const PatchPlaces places(op);
  const Index width = op.y.cols();
  cuda.parallel_grid(op.y.rows(), width, [=] __device__(Index row, Index c) {
    const Index source = places.source(row, c);
    op.y[row * width + c] = source < 0 ? T{0} : op.x[source];
  });
}

template <class T>
void backward(Cuda<T>& cuda, const Patches<T>& op) {
  const PatchPlaces places(op);
  const Index width = op.y.cols();
  const T* dy = op.y.gradient;
  const auto dx = op.x.claim_gradient();
  cuda.parallel_grid(op.y.rows(), width, [=] __device__(Index row, Index c) {
    if (const Index source = places.source(row, c); source >= 0) dx.put(source, dy[row * width + c]);
  });
}

}  // namespace neuroinhib::ops
