#pragma once

#include <cmath>
#include <string>

#include <neuroinhib/analysis/moments.hpp>
#include <neuroinhib/routing/analysis.hpp>

/// How many tokens inform one in mutual-inform routing.
namespace neuroinhib {

/// Sums over tokens, added up over batches.
struct Neighbours {
  double tokens = 0;       ///< that were counted
  double self_weight = 0;  ///< Σ of a token's weight on itself
  double entropy = 0;      ///< Σ H of a token's weights, in nats
  double number = 0;       ///< Σ exp H

  /// Adds other tokens.
  Neighbours& operator+=(const Neighbours& other) {
    tokens += other.tokens;
    self_weight += other.self_weight;
    entropy += other.entropy;
    number += other.number;
    return *this;
  }
  /// The effective number of tokens that inform one, itself included: the mean of exp H; 0 without tokens.
  [[nodiscard]] double effective() const { return tokens > 0 ? number / tokens : 0; }
  /// What inform_means() says of a batch, of all batches. Throws NumericError without tokens.
  [[nodiscard]] InformAnalysis inform() const {
    if (tokens == 0)
      fail<NumericError>("neighbours", "at least one token", "none", "add a batch that is not all padding");
    return {self_weight / tokens, std::exp(entropy / tokens)};
  }
};

/// The sums of a batch on the host, from RouterOutput's entropy [tokens], in nats, and self_weight [tokens]. Tokens
/// whose document is below zero are left out. Throws ShapeError, and NumericError for NaN or infinity.
template <class T>
[[nodiscard]] Neighbours neighbours(const View<T>& entropy, const View<T>& self_weight,
                                    const View<const int>& document = {}) {
  require_rows("neighbours", entropy.shape);
  const Index sizes[] = {self_weight.size(), document.data == nullptr ? entropy.size() : document.size()};
  for (const Index size : sizes)
    if (size != entropy.size())
      fail<ShapeError>("neighbours", "a number for each of " + std::to_string(entropy.size()) + " tokens",
                       std::to_string(size), "pass what the router gave for one batch");
  for (const auto* numbers : {&entropy, &self_weight})
    detail::require_finite_rows("neighbours", View<T>(numbers->data, {numbers->size(), 1}));
  Neighbours sums;
  for (Index i = 0; i < entropy.size(); ++i)
    if (document.data == nullptr || document[i] >= 0) {
      const auto h = static_cast<double>(entropy[i]);
      sums += {1, static_cast<double>(self_weight[i]), h, std::exp(h)};
    }
  return sums;
}

}  // namespace neuroinhib
