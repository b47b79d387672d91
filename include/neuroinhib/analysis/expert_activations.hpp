#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <neuroinhib/analysis/choices.hpp>
#include <neuroinhib/analysis/moments.hpp>

/// Experts whose activations are extreme: a few can decide what a network does ("super experts").
namespace neuroinhib {

/// Sizes of the activations of each expert, added up over batches.
struct ExpertActivations {
  std::vector<double> numbers;  ///< [experts] activations seen
  std::vector<double> squares;  ///< [experts] Σ of their squares
  std::vector<double> largest;  ///< [experts] the largest absolute one

  /// Adds other activations of the same layer. Throws ShapeError where it has another number of experts.
  ExpertActivations& operator+=(const ExpertActivations& other) {
    if (other.numbers.empty()) return *this;
    if (numbers.empty()) return *this = other;
    detail::require_same_width("expert activations", numbers.size(), other.numbers.size());
    for (std::size_t k = 0; k < numbers.size(); ++k) {
      numbers[k] += other.numbers[k];
      squares[k] += other.squares[k];
      largest[k] = std::max(largest[k], other.largest[k]);
    }
    return *this;
  }

  /// [experts] root mean square; 0 for an expert that nobody asked.
  [[nodiscard]] std::vector<double> size() const {
    std::vector<double> sizes;
    for (std::size_t k = 0; k < numbers.size(); ++k)
      sizes.push_back(numbers[k] > 0 ? std::sqrt(squares[k] / numbers[k]) : 0);
    return sizes;
  }
  /// Experts whose largest activation is at least `times` the median of all experts that somebody asked.
  [[nodiscard]] std::vector<Index> extreme(double times = 10) const {
    std::vector<double> asked;
    for (std::size_t k = 0; k < numbers.size(); ++k)
      if (numbers[k] > 0) asked.push_back(largest[k]);
    std::sort(asked.begin(), asked.end());
    std::vector<Index> experts;
    if (asked.empty()) return experts;
    const double median = (asked[(asked.size() - 1) / 2] + asked[asked.size() / 2]) / 2;
    for (std::size_t k = 0; k < numbers.size(); ++k)
      if (largest[k] > 0 && largest[k] >= times * median) experts.push_back(static_cast<Index>(k));
    return experts;
  }
};

/// The sizes of a batch on the host: activations [slots, width], such as experts' outputs or hidden vectors, and the
/// expert of each slot [slots], `experts` for none. Throws ShapeError, and NumericError for NaN, infinity, and numbers
/// beyond the experts.
template <class T>
[[nodiscard]] ExpertActivations expert_activations(const View<T>& activations, const View<const int>& expert,
                                                   Index experts) {
  require_rows("expert activations", activations.shape);
  if (expert.size() != activations.rows())
    fail<ShapeError>("expert activations", "an expert for each of " + std::to_string(activations.rows()) + " slots",
                     std::to_string(expert.size()), "pass one row a slot");
  detail::require_finite_rows("expert activations", activations);
  const std::vector<double> zeros(static_cast<std::size_t>(experts));
  ExpertActivations sums{zeros, zeros, zeros};
  const View<const int> column(expert.data, {expert.size(), 1});
  detail::for_each_choice("expert activations", column, experts, {}, [&](Index slot, std::span<const int> chosen) {
    if (chosen[0] == experts) return;
    const auto k = static_cast<std::size_t>(chosen[0]);
    for (Index i = 0; i < activations.cols(); ++i) {
      const double size = std::abs(static_cast<double>(activations.data[slot * activations.cols() + i]));
      sums.numbers[k] += 1;
      sums.squares[k] += size * size;
      sums.largest[k] = std::max(sums.largest[k], size);
    }
  });
  return sums;
}

}  // namespace neuroinhib
