#pragma once

#include <neuroinhib/ops/activation/op.hpp>
#include <neuroinhib/ops/map/math.hpp>

/// Activations and their slopes of one number, or of lanes of numbers, for the kernels of every backend.
namespace neuroinhib::ops {

/// f(x).
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] T activation_of(Activation kind, const T& x) {
  switch (kind) {
    case Activation::identity: return x;
    case Activation::relu: return math::relu(x);
    case Activation::tanh: return math::tanh(x);
    case Activation::sigmoid: return math::sigmoid(x);
    case Activation::gelu: return x * math::normal_cdf(x);
    case Activation::silu: return x * math::sigmoid(x);
    case Activation::softplus: return math::softplus(x);
    case Activation::log_sigmoid: return -math::softplus(-x);
  }
  return x;
}

/// f′(x) from the output f(x); for kinds with derivative_from_output.
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] T slope_from_output(Activation kind, const T& y) {
  switch (kind) {
    case Activation::relu: return math::step(y);
    case Activation::tanh: return 1 - y * y;
    case Activation::sigmoid: return y * (1 - y);
    default: return T(1);
  }
}

/// f′(x) from the input.
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] T slope_from_input(Activation kind, const T& x) {
  switch (kind) {
    case Activation::gelu: return math::normal_cdf(x) + x * math::normal_density(x);
    case Activation::silu: {
      const T s = math::sigmoid(x);
      return s * (1 + x * (1 - s));
    }
    case Activation::softplus: return math::sigmoid(x);
    case Activation::log_sigmoid: return math::sigmoid(-x);
    case Activation::tanh: return slope_from_output(kind, math::tanh(x));
    case Activation::sigmoid: return slope_from_output(kind, math::sigmoid(x));
    default: return slope_from_output(kind, x);
  }
}

}  // namespace neuroinhib::ops
