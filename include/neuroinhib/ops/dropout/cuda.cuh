#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/dropout/op.hpp>

namespace neuroinhib::ops {

/// The stream at the device's own step: a captured step draws new numbers in every replay.
struct DeviceStream {
  RandomStream random;
  const CudaControl* control;

  __device__ RandomStream now() const { return {random.seed, control->step, random.stream, random.first}; }
};

/// visit(i, factor) for every element, factor 0 or 1 / (1 − p); one random block serves four elements of a row.
template <class T, class Visit>
void for_each_kept(Cuda<T>& cuda, const Dropout<T>& op, const Visit& visit) {
  const T kept = 1 / (1 - op.p);
  const Index rows = op.rows(), width = rows > 0 ? op.x.size() / rows : 0;
  const DeviceStream stream{op.random, cuda.control()};
  cuda.parallel_grid(rows, (width + 6) / 4, [=] __device__(Index row, Index number) {  // the first may lie within one
    const Index first = op.first(row, width), block = first / 4 + number, begin = 4 * block - first;
    const RandomWords words = stream.now().block(block);
    for (int w = 0; w < 4; ++w)
      if (begin + w >= 0 && begin + w < width)
        visit(row * width + begin + w, unit_uniform<T>(words[w]) < op.p ? T{0} : kept);
  });
}

template <class T>
void forward(Cuda<T>& cuda, const Dropout<T>& op) {
  for_each_kept(cuda, op, [=] __device__(Index i, T factor) { op.y[i] = op.x[i] * factor; });
}

template <class T>
void backward(Cuda<T>& cuda, const Dropout<T>& op) {
  const auto dx = op.x.claim_gradient();
  for_each_kept(cuda, op, [=] __device__(Index i, T factor) { dx.put(i, op.y.gradient[i] * factor); });
}

template <class T>
void forward(Cuda<T>& cuda, const AddNoise<T>& op) {
  const DeviceStream stream{op.random, cuda.control()};
  cuda.parallel_for(op.x.size(),
                    [=] __device__(Index i) { op.y[i] = op.x[i] + op.scale[i] * stream.now().template normal<T>(i); });
}

template <class T>
void backward(Cuda<T>& cuda, const AddNoise<T>& op) {
  const auto dx = op.x.claim_gradient(), dscale = op.scale.claim_gradient();
  const DeviceStream stream{op.random, cuda.control()};
  cuda.parallel_for(op.x.size(), [=] __device__(Index i) {
    if (dx) dx.put(i, op.y.gradient[i]);
    if (dscale) dscale.put(i, op.y.gradient[i] * stream.now().template normal<T>(i));
  });
}

}  // namespace neuroinhib::ops
