#pragma once

#include <cmath>

#include <neuroinhib/ops/activation/scalar.hpp>

#if defined(__CUDACC__)
// nvcc would warn of the functions of lanes, which only the host calls.
#define NEUROINHIB_NUMBERS_OR_LANES _Pragma("nv_exec_check_disable")
#else
#define NEUROINHIB_NUMBERS_OR_LANES
#endif

/// Functions for functors of map: of a number, on the host and the device, and of lanes of numbers on the host.
namespace neuroinhib::math {

NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE auto exp(const T& x) {
  if constexpr (requires { x.exp(); })
    return x.exp();
  else
    return std::exp(x);
}
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE auto log(const T& x) {
  if constexpr (requires { x.log(); })
    return x.log();
  else
    return std::log(x);
}
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE auto tanh(const T& x) {
  if constexpr (requires { x.tanh(); })
    return x.tanh();
  else
    return std::tanh(x);
}
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE auto sqrt(const T& x) {
  if constexpr (requires { x.sqrt(); })
    return x.sqrt();
  else
    return std::sqrt(x);
}
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE auto abs(const T& x) {
  if constexpr (requires { x.abs(); })
    return x.abs();
  else
    return std::abs(x);
}
NEUROINHIB_NUMBERS_OR_LANES
template <class T>
NEUROINHIB_DEVICE auto sigmoid(const T& x) {
  if constexpr (requires { x.sigmoid(); })
    return x.sigmoid();
  else
    return ops::sigmoid(x);
}

}  // namespace neuroinhib::math

#undef NEUROINHIB_NUMBERS_OR_LANES
