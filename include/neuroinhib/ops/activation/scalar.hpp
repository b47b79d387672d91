#pragma once

#include <cmath>

#include <neuroinhib/ops/activation/op.hpp>

/// Activations and their slopes of one number, for the kernels of every backend.
namespace neuroinhib::ops {

template <class T>
NEUROINHIB_DEVICE [[nodiscard]] T sigmoid(T x) {
  const T e = std::exp(-std::abs(x));
  return (x >= 0 ? T{1} : e) / (1 + e);
}

template <class T>
NEUROINHIB_DEVICE [[nodiscard]] T softplus(T x) {
  return (x < 0 ? T{0} : x) + std::log1p(std::exp(-std::abs(x)));  // NaN stays
}

/// Φ and φ of the standard normal law.
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] T normal_cdf(T x) {
  return T(0.5) * std::erfc(-x * T(0.70710678118654752));
}
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] T normal_density(T x) {
  return T(0.39894228040143268) * std::exp(T(-0.5) * x * x);
}

/// f(x).
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] T activation_of(Activation kind, T x) {
  switch (kind) {
    case Activation::identity: return x;
    case Activation::relu: return x <= 0 ? T{0} : x;  // NaN stays
    case Activation::tanh: return std::tanh(x);
    case Activation::sigmoid: return sigmoid(x);
    case Activation::gelu: return x * normal_cdf(x);
    case Activation::silu: return x * sigmoid(x);
    case Activation::softplus: return softplus(x);
    case Activation::log_sigmoid: return -softplus(-x);
  }
  return x;
}

/// f′(x) from the output f(x); for kinds with derivative_from_output.
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] T slope_from_output(Activation kind, T y) {
  switch (kind) {
    case Activation::relu: return y > 0 ? T{1} : T{0};
    case Activation::tanh: return 1 - y * y;
    case Activation::sigmoid: return y * (1 - y);
    default: return T{1};
  }
}

/// f′(x) from the input.
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] T slope_from_input(Activation kind, T x) {
  switch (kind) {
    case Activation::gelu: return normal_cdf(x) + x * normal_density(x);
    case Activation::silu: {
      const T s = sigmoid(x);
      return s * (1 + x * (1 - s));
    }
    case Activation::softplus: return sigmoid(x);
    case Activation::log_sigmoid: return sigmoid(-x);
    case Activation::tanh: return slope_from_output(kind, std::tanh(x));
    case Activation::sigmoid: return slope_from_output(kind, sigmoid(x));
    default: return slope_from_output(kind, x);
  }
}

}  // namespace neuroinhib::ops
