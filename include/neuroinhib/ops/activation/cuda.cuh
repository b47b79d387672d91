#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/activation/scalar.hpp>

namespace neuroinhib::ops {

/// What one element's result or gradient is computed from.
template <class T>
struct ActivationNumbers {
  T x, other, y, dy;
};

/// Elements of a thread, far apart, whose numbers are on their way at once.
inline constexpr Index kActivatedAtOnce = 4;

/// body(element 0, 1, … of this thread's) for all `size` elements.
template <class T, class Read, class Write>
void activate_all(Cuda<T>& cuda, Index size, const Read& read, const Write& write) {
  const Index step = (size + kActivatedAtOnce - 1) / kActivatedAtOnce;
  cuda.parallel_for(step, [=] __device__(Index first) {
    ActivationNumbers<T> numbers[kActivatedAtOnce];
#pragma unroll
    for (Index k = 0; k < kActivatedAtOnce; ++k)
      if (const Index i = first + k * step; i < size) numbers[k] = read(i);
#pragma unroll
    for (Index k = 0; k < kActivatedAtOnce; ++k)
      if (const Index i = first + k * step; i < size) write(i, numbers[k]);
  });
}

template <class T>
void forward(Cuda<T>& cuda, const Activate<T>& op) {
  const T *x = op.x.data, *other = op.other.data;
  T* y = op.y.data;
  const Activation kind = op.kind;
  activate_all(
      cuda, op.x.size(),
      [=] __device__(Index i) { return ActivationNumbers<T>{x[i], other != nullptr ? other[i] : T{1}, T{0}, T{0}}; },
      [=] __device__(Index i, const ActivationNumbers<T>& n) { y[i] = activation_of(kind, n.x) * n.other; });
}

template <class T>
void backward(Cuda<T>& cuda, const Activate<T>& op) {
  const auto dother = op.other.claim_gradient(), dx = op.x.claim_gradient();
  const Activation kind = op.kind;
  const bool from_output = derivative_from_output(kind) && !op.other.defined();
  const T *x = op.x.data, *y = op.y.data, *other = op.other.data, *dy = op.y.gradient;
  activate_all(
      cuda, op.x.size(),
      [=] __device__(Index i) {
        return ActivationNumbers<T>{from_output ? T{0} : x[i], other != nullptr ? other[i] : T{1},
                                    from_output ? y[i] : T{0}, dy[i]};
      },
      [=] __device__(Index i, const ActivationNumbers<T>& n) {
        if (dother) dother.put(i, n.dy * activation_of(kind, n.x));
        if (!dx) return;
        const T slope = from_output ? slope_from_output(kind, n.y) : slope_from_input(kind, n.x);
        dx.put(i, n.dy * slope * n.other);
      });
}

}  // namespace neuroinhib::ops
