#pragma once

#include <cmath>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/backend/eigen.hpp>
#include <neuroinhib/ops/activation/scalar.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Elements that a thread takes at a time in elementwise kernels.
inline constexpr Index kElementBlock = 4096;

/// f over `count` elements; x and y may be the same.
template <class T>
void apply_activation(Activation kind, const T* x, T* y, Index count) {
  const ConstArrayMap<T> in(x, count);
  ArrayMap<T> out(y, count);
  switch (kind) {
    case Activation::identity: out = in; break;
    case Activation::relu:
      for (Index i = 0; i < count; ++i) y[i] = x[i] <= 0 ? T{0} : x[i];
      break;
    case Activation::tanh: out = in.tanh(); break;
    case Activation::sigmoid: out = in.logistic(); break;
    case Activation::silu: out = in * in.logistic(); break;
    case Activation::gelu:
    case Activation::softplus:
    case Activation::log_sigmoid:
      for (Index i = 0; i < count; ++i) y[i] = activation_of(kind, x[i]);
      break;
  }
}

/// dx = dy ⊙ f′, from the output; kinds with derivative_from_output.
template <class T>
void times_slope(Activation kind, const T* dy, const T* y, T* dx, Index count) {
  if (kind == Activation::relu) {
    for (Index i = 0; i < count; ++i) dx[i] = y[i] > 0 ? dy[i] : T{0};
  } else {
    for (Index i = 0; i < count; ++i) dx[i] = dy[i] * slope_from_output(kind, y[i]);
  }
}

template <class T>
void forward(Cpu<T>& cpu, const Activate<T>& op) {
  cpu.parallel_blocks(op.x.size(), cost::exponential, kElementBlock, [&](Index begin, Index end) {
    apply_activation(op.kind, op.x.data + begin, op.y.data + begin, end - begin);
    if (op.other.defined())
      for (Index i = begin; i < end; ++i) op.y[i] *= op.other[i];
  });
}

template <class T>
void backward(Cpu<T>& cpu, const Activate<T>& op) {
  const T* dy = op.y.gradient;
  const auto dother = op.other.gradient_slot();
  const auto dx = op.x.gradient_slot();
  const bool from_output = derivative_from_output(op.kind) && !op.other.defined();
  cpu.parallel_blocks(op.x.size(), cost::exponential, kElementBlock, [&](Index begin, Index end) {
    if (dother) {
      T values[kElementBlock];
      apply_activation(op.kind, op.x.data + begin, values, end - begin);
      for (Index i = begin; i < end; ++i) dother.put(i, dy[i] * values[i - begin]);
    }
    if (!dx) return;
    for (Index i = begin; i < end; ++i) {
      const T slope = from_output ? slope_from_output(op.kind, op.y[i]) : slope_from_input(op.kind, op.x[i]);
      dx.put(i, dy[i] * slope * (op.other.defined() ? op.other[i] : T{1}));
    }
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
