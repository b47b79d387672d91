#pragma once

#include <cmath>

#include <neuroinhib/core/tensor.hpp>

#if defined(__CUDACC__)
// nvcc would warn of the functions of lanes, which only the host calls.
/// Marks such a function.
#define NEUROINHIB_NUMBERS_OR_LANES _Pragma("nv_exec_check_disable")
#else
#define NEUROINHIB_NUMBERS_OR_LANES
#endif

/// Functions for functors of map: of a number, on the host and the device, and of lanes of numbers on the host.
namespace neuroinhib::math {

/// eˣ.
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE auto exp(const T& x) {
  if constexpr (requires { x.exp(); })
    return x.exp();
  else
    return std::exp(x);
}
/// The natural logarithm.
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE auto log(const T& x) {
  if constexpr (requires { x.log(); })
    return x.log();
  else
    return std::log(x);
}
/// tanh x.
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE auto tanh(const T& x) {
  if constexpr (requires { x.tanh(); })
    return x.tanh();
  else
    return std::tanh(x);
}
/// √x.
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE auto sqrt(const T& x) {
  if constexpr (requires { x.sqrt(); })
    return x.sqrt();
  else
    return std::sqrt(x);
}
/// |x|.
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE auto abs(const T& x) {
  if constexpr (requires { x.abs(); })
    return x.abs();
  else
    return std::abs(x);
}
/// 1 / (1 + exp(−x)).
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE T sigmoid(const T& x) {
  if constexpr (requires { x.sigmoid(); }) {
    return x.sigmoid();
  } else {
    const T e = std::exp(-std::abs(x));
    return (x >= 0 ? T{1} : e) / (1 + e);
  }
}
/// max(x, 0); NaN stays.
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE T relu(const T& x) {
  if constexpr (requires { x.relu(); })
    return x.relu();
  else
    return x <= 0 ? T{0} : x;
}
/// 1 where x > 0, else 0.
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE T step(const T& x) {
  if constexpr (requires { x.step(); })
    return x.step();
  else
    return x > 0 ? T{1} : T{0};
}
/// log(1 + exp(x)).
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE T softplus(const T& x) {
  if constexpr (requires { x.softplus(); })
    return x.softplus();
  else
    return relu(x) + std::log1p(std::exp(-std::abs(x)));
}
/// Φ(x), the standard normal law's distribution function.
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE T normal_cdf(const T& x) {
  if constexpr (requires { x.normal_cdf(); })
    return x.normal_cdf();
  else
    return T(0.5) * std::erfc(-x * T(0.70710678118654752));
}
/// φ(x), its density.
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE T normal_density(const T& x) {
  return T(0.39894228040143268) * math::exp(T(-0.5) * x * x);
}

}  // namespace neuroinhib::math
