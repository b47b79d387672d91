#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include <neuroinhib/core/parameters.hpp>

namespace neuroinhib {

/// Scales all gradients so that their Euclidean norm is at most `largest`; returns the norm before, summed in double
/// and in the order of the flat buffer. Throws NumericError where the norm is not finite, ConfigError unless largest >
/// 0.
template <class T>
double clip_gradient_norm(Parameters<T>& parameters, double largest) {
  if (!(largest > 0))
    fail<ConfigError>("gradient clipping", "a largest norm > 0", std::to_string(largest), "leave clipping out instead");
  double total = 0;
  for (const T g : parameters.gradients()) total += static_cast<double>(g) * static_cast<double>(g);
  const double norm = std::sqrt(total);
  if (!std::isfinite(norm))
    fail<NumericError>("gradient clipping", "finite gradients", "norm " + std::to_string(norm),
                       "check the loss with require_finite");
  if (norm > largest)
    for (T& g : parameters.gradients()) g *= static_cast<T>(largest / (norm + 1e-6));
  return norm;
}

}  // namespace neuroinhib
