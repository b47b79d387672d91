#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/analysis/moments.hpp>

/// Which neurons an inhibition suppresses: those that all kinds of input share, or those that tell kinds apart (Neural
/// Inhibition, section 5, figures 2 and 3).
namespace neuroinhib {

/// Neurons by their correlation c_i with the kind of input.
struct NeuronKinds {
  double boundary = 0;               ///< the mean of all |c_i|
  std::vector<bool> discriminative;  ///< [neurons] |c_i| above the boundary; the others are common

  /// Neurons above the boundary.
  [[nodiscard]] Index number_discriminative() const {
    return std::count(discriminative.begin(), discriminative.end(), true);
  }
  /// Neurons at or below it.
  [[nodiscard]] Index number_common() const { return std::ssize(discriminative) - number_discriminative(); }
};

/// Tells common neurons from discriminative ones by correlations [neurons]. Throws ShapeError without neurons,
/// NumericError for NaN.
[[nodiscard]] inline NeuronKinds neuron_kinds(std::span<const double> correlations) {
  std::vector<double> sizes;
  for (const double c : correlations) sizes.push_back(std::abs(c));
  NeuronKinds kinds{column_moments(View<const double>(sizes.data(), {std::ssize(sizes), 1})).mean()[0], {}};
  for (const double size : sizes) kinds.discriminative.push_back(size > kinds.boundary);
  return kinds;
}

/// How many neurons have a mean gate below a threshold: a point of figure 3.
struct Suppressed {
  double threshold = 0;
  Index common = 0, discriminative = 0;  ///< neurons of each kind with a mean gate below the threshold
};

namespace detail {

/// Mean gates of one kind of neurons, sorted. Throws ShapeError unless there is a gate for each neuron.
[[nodiscard]] inline std::vector<double> sorted_gates(const NeuronKinds& kinds, std::span<const double> gates,
                                                      bool discriminative) {
  if (gates.size() != kinds.discriminative.size())
    fail<ShapeError>("suppressed neurons",
                     "a mean gate for each of " + std::to_string(kinds.discriminative.size()) + " neurons",
                     std::to_string(gates.size()), "take gates and correlations of the same layer");
  require_finite_rows("suppressed neurons", View<const double>(gates));
  std::vector<double> some;
  for (std::size_t i = 0; i < gates.size(); ++i)
    if (kinds.discriminative[i] == discriminative) some.push_back(gates[i]);
  std::sort(some.begin(), some.end());
  return some;
}

}  // namespace detail

/// The points of figure 3: for each threshold, the neurons of each kind whose mean gate [neurons] lies below it. Throws
/// ShapeError, and NumericError for NaN.
[[nodiscard]] inline std::vector<Suppressed> suppressed_neurons(const NeuronKinds& kinds, std::span<const double> gates,
                                                                std::span<const double> thresholds) {
  const auto common = detail::sorted_gates(kinds, gates, false), others = detail::sorted_gates(kinds, gates, true);
  const auto below = [](const std::vector<double>& sorted, double threshold) {
    return std::lower_bound(sorted.begin(), sorted.end(), threshold) - sorted.begin();
  };
  std::vector<Suppressed> points;
  for (const double threshold : thresholds)
    points.push_back({threshold, below(common, threshold), below(others, threshold)});
  return points;
}

/// The probability that a common neuron's mean gate lies below a discriminative one's, where equal ones count half: the
/// area under figure 3's curve if both axes are shares. 1: common neurons are suppressed first; ½: the inhibition does
/// not tell them apart, which is also the answer where all neurons are of one kind. Throws as suppressed_neurons.
[[nodiscard]] inline double suppression_preference(const NeuronKinds& kinds, std::span<const double> gates) {
  const auto common = detail::sorted_gates(kinds, gates, false), others = detail::sorted_gates(kinds, gates, true);
  if (common.empty() || others.empty()) return .5;
  double halves = 0;
  for (const double gate : common) {
    const auto [equal, above] = std::equal_range(others.begin(), others.end(), gate);
    halves += static_cast<double>((others.end() - equal) + (others.end() - above));
  }
  return halves / 2 / static_cast<double>(common.size()) / static_cast<double>(others.size());
}

}  // namespace neuroinhib
