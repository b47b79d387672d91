#pragma once

#include <span>
#include <string>
#include <vector>

#include <neuroinhib/analysis/choices.hpp>

/// Which experts serve the same tokens.
namespace neuroinhib {

/// Counts of pairs of experts, added up over batches.
struct CoSelection {
  Index experts = 0;             ///< K
  double tokens = 0;             ///< that were counted
  std::vector<double> together;  ///< [K, K] tokens that chose both; on the diagonal, tokens that chose the one

  /// Adds other tokens of the same layer. Throws ShapeError where it has another number of experts.
  CoSelection& operator+=(const CoSelection& other) {
    if (other.tokens == 0) return *this;
    if (tokens == 0) return *this = other;
    if (experts != other.experts)
      fail<ShapeError>("co-selection", std::to_string(experts) + " experts, as before", std::to_string(other.experts),
                       "analyse each layer with an estimator of its own");
    tokens += other.tokens;
    for (std::size_t i = 0; i < together.size(); ++i) together[i] += other.together[i];
    return *this;
  }

  /// Tokens that chose both experts.
  [[nodiscard]] double both(Index one, Index other) const {
    return together[static_cast<std::size_t>(one * experts + other)];
  }
  /// The share of one expert's tokens that chose the other as well; 0 where nobody chose the one.
  [[nodiscard]] double share(Index one, Index other) const {
    return both(one, one) > 0 ? both(one, other) / both(one, one) : 0;
  }
  /// How many times as often both are chosen as if they were chosen independently; 0 where one of them never is.
  [[nodiscard]] double lift(Index one, Index other) const {
    return both(other, other) > 0 ? share(one, other) * tokens / both(other, other) : 0;
  }
};

/// The counts of a batch, from expert [tokens, chosen] on the host. Tokens whose document is below zero are left out.
/// Throws ShapeError and NumericError.
[[nodiscard]] inline CoSelection co_selection(const View<const int>& expert, Index experts,
                                              const View<const int>& document = {}) {
  CoSelection counts{experts, 0, std::vector<double>(static_cast<std::size_t>(experts * experts))};
  detail::for_each_choice("co-selection", expert, experts, document, [&](Index, std::span<const int> chosen) {
    counts.tokens += 1;
    for (const int one : chosen)
      for (const int other : chosen)
        if (one < experts && other < experts) counts.together[static_cast<std::size_t>(one * experts + other)] += 1;
  });
  return counts;
}

}  // namespace neuroinhib
