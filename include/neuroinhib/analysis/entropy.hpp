#pragma once

#include <cmath>
#include <span>
#include <string>

#include <neuroinhib/core/tensor.hpp>

/// Entropies in nats.
namespace neuroinhib {
namespace ops {

/// −p log p, and 0 for 0.
struct EntropyTerm {
  static constexpr const char* name = "entropy term";  ///< in errors
  /// For p ≥ 0.
  template <class T>
  NEUROINHIB_DEVICE T operator()(T p) const {
    return p > 0 ? -p * std::log(p) : T{0};
  }
  /// −1 − log p, and 0 for 0.
  template <class T>
  NEUROINHIB_DEVICE T derivative(T p) const {
    return p > 0 ? -1 - std::log(p) : T{0};
  }
};

}  // namespace ops

/// H of weights ≥ 0 that need not sum to one, in nats; 0 where all are zero. exp H is the effective number of what is
/// weighted. Throws NumericError for a weight below zero, NaN or infinity.
[[nodiscard]] inline double entropy_of(std::span<const double> weights) {
  double sum = 0, entropy = 0;
  for (const double weight : weights) {
    if (!(weight >= 0 && std::isfinite(weight)))
      fail<NumericError>("entropy", "weights ≥ 0", number_text(weight), "pass probabilities or counts");
    sum += weight;
  }
  if (sum > 0)
    for (const double weight : weights) entropy += ops::EntropyTerm{}(weight / sum);
  return entropy;
}

}  // namespace neuroinhib
