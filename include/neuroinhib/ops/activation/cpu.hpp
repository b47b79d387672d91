#pragma once

#include <Eigen/Core>
#include <cmath>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/activation/op.hpp>

namespace neuroinhib::ops {

/// Elements that a thread takes at a time in elementwise kernels.
inline constexpr Index kElementBlock = 4096;

template <class T>
using ArrayMap = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>;
template <class T>
using ConstArrayMap = Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>>;

template <class T>
[[nodiscard]] T sigmoid(T x) {
  const T e = std::exp(-std::abs(x));
  return (x >= 0 ? T{1} : e) / (1 + e);
}

/// Φ and φ of the standard normal law.
template <class T>
[[nodiscard]] T normal_cdf(T x) {
  return T(0.5) * std::erfc(-x * T(0.70710678118654752));
}
template <class T>
[[nodiscard]] T normal_density(T x) {
  return T(0.39894228040143268) * std::exp(T(-0.5) * x * x);
}

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
    case Activation::gelu:
      for (Index i = 0; i < count; ++i) y[i] = x[i] * normal_cdf(x[i]);
      break;
    case Activation::silu: out = in * in.logistic(); break;
    case Activation::softplus:
      for (Index i = 0; i < count; ++i) y[i] = std::max(x[i], T{0}) + std::log1p(std::exp(-std::abs(x[i])));
      break;
  }
}

/// f′(x) from the output f(x); for kinds with derivative_from_output.
template <class T>
[[nodiscard]] T slope_from_output(Activation kind, T y) {
  switch (kind) {
    case Activation::relu: return y > 0 ? T{1} : T{0};
    case Activation::tanh: return 1 - y * y;
    case Activation::sigmoid: return y * (1 - y);
    default: return T{1};
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

/// f′(x) from the input.
template <class T>
[[nodiscard]] T slope_from_input(Activation kind, T x) {
  switch (kind) {
    case Activation::gelu: return normal_cdf(x) + x * normal_density(x);
    case Activation::silu: {
      const T s = sigmoid(x);
      return s * (1 + x * (1 - s));
    }
    case Activation::softplus: return sigmoid(x);
    case Activation::tanh: return slope_from_output(kind, std::tanh(x));
    case Activation::sigmoid: return slope_from_output(kind, sigmoid(x));
    default: return slope_from_output(kind, x);
  }
}

template <class T>
void forward(Cpu<T>& cpu, const Activate<T>& op) {
  cpu.parallel_blocks(op.x.size(), kElementBlock, [&](Index begin, Index end) {
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
  cpu.parallel_blocks(op.x.size(), kElementBlock, [&](Index begin, Index end) {
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

}  // namespace neuroinhib::ops
