#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <neuroinhib/analysis/entropy.hpp>
#include <neuroinhib/backend/backend.hpp>
#include <neuroinhib/mix/mix.hpp>
#include <neuroinhib/ops/arithmetic/op.hpp>
#include <neuroinhib/ops/count_tokens/op.hpp>
#include <neuroinhib/ops/expert_load/op.hpp>

/// Who works, and how sure the router is: expert loads, routing entropy and dead experts, while training.
namespace neuroinhib {
/// Sums over the tokens of a batch, of all ranks, padding left out, on the backend until the next step begins.
template <class T>
struct RoutingCounts {
  Tensor<T> slots;    ///< [experts] slots that each expert serves
  Tensor<T> entropy;  ///< scalar: Σ H(p) in nats, over the tokens
  Tensor<T> tokens;   ///< scalar
};

/// What MoeOutput::routing says of a batch; no step waits for it, and it may be captured. `counted`: made by
/// count_tokens(ex, tokens, document), where there is padding. The entropy is that of all probabilities, or, of rules
/// that never form them, of the gates. No gradient passes. Throws ShapeError.
template <Executor Ex>
[[nodiscard]] RoutingCounts<ScalarOf<Ex>> routing_counts(Ex& ex, const Routing<ScalarOf<Ex>>& routing,
                                                         const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  using T = ScalarOf<Ex>;
  const Index tokens = routing.plan.tokens();
  const auto load = expert_load(ex, routing.plan, counted);
  const auto& p = routing.probabilities.defined() ? routing.probabilities : routing.gates;
  const auto entropy = row_sums(ex, map(ex, ops::EntropyTerm{}, p.detached()));
  if (counted.defined()) {
    Tensor<T> marks;
    marks.data = counted.marks.data;
    marks.shape = {tokens, 1};
    return {load, all_reduce(ex, total(ex, multiply(ex, entropy, marks))), all_reduce(ex, total(ex, marks))};
  }
  const auto number = ex.tensor(Shape::scalar(), false);
  ex.backend().fill(number.data, 1, static_cast<T>(tokens));
  return {load, all_reduce(ex, total(ex, entropy)), all_reduce(ex, number)};
}

/// The counts of one or more batches, on the host.
struct RoutingAnalysis {
  std::vector<double> slots;  ///< of each expert
  double entropy_sum = 0;     ///< in nats
  double tokens = 0;          ///< tokens counted, padding left out

  /// Adds another batch of the same layer.
  RoutingAnalysis& operator+=(const RoutingAnalysis& other) {
    slots.resize(std::max(slots.size(), other.slots.size()));
    for (std::size_t k = 0; k < other.slots.size(); ++k) slots[k] += other.slots[k];
    entropy_sum += other.entropy_sum;
    tokens += other.tokens;
    return *this;
  }

  /// The share of all slots that each expert serves; 1 / experts where the load is even.
  [[nodiscard]] std::vector<double> load() const {
    double all = 0;
    for (const double count : slots) all += count;
    std::vector<double> shares = slots;
    if (all > 0)
      for (double& share : shares) share /= all;
    return shares;
  }
  /// Mean entropy of a token's routing, in nats: 0 where one expert takes it surely, log(experts) at chance.
  [[nodiscard]] double entropy() const { return tokens > 0 ? entropy_sum / tokens : 0; }
  /// The largest load, 1 where all are even.
  [[nodiscard]] double imbalance() const {
    const std::vector<double> shares = load();
    return shares.empty() ? 0 : *std::max_element(shares.begin(), shares.end()) * static_cast<double>(shares.size());
  }
  /// The deviation of the load over the experts, divided by its mean: 0 where it is even or nobody was asked.
  [[nodiscard]] double variation() const {
    if (imbalance() == 0) return 0;
    const std::vector<double> shares = load();
    const auto experts = static_cast<double>(shares.size());
    double squares = 0;
    for (const double share : shares) squares += (share * experts - 1) * (share * experts - 1);
    return std::sqrt(squares / experts);
  }
  /// exp of the load's entropy: as many experts as there are where it is even, 1 where one serves all slots.
  [[nodiscard]] double effective_experts() const { return imbalance() > 0 ? std::exp(entropy_of(slots)) : 0; }
  /// Experts whose load is at most `share`; by default those that nobody asked.
  [[nodiscard]] std::vector<Index> dead(double share = 0) const {
    const std::vector<double> shares = load();
    std::vector<Index> experts;
    for (std::size_t k = 0; k < shares.size(); ++k)
      if (shares[k] <= share) experts.push_back(static_cast<Index>(k));
    return experts;
  }
  /// For people.
  [[nodiscard]] std::string text() const {
    return "largest load " + std::to_string(imbalance()) + " times the mean, " + std::to_string(dead().size()) +
           " of " + std::to_string(slots.size()) + " experts unused, entropy " + std::to_string(entropy()) + " nats";
  }
};

/// A layer's mean entropy over that of the same layer of a baseline: below 1 where it decides more surely
/// (Mutual-Inform SMoE, figure 2). Throws NumericError where the baseline has none.
[[nodiscard]] inline double entropy_ratio(const RoutingAnalysis& layer, const RoutingAnalysis& baseline) {
  if (!(baseline.entropy() > 0))
    fail<NumericError>("entropy ratio", "a baseline of entropy above 0", number_text(baseline.entropy()),
                       "compare with a router that chooses, over tokens that are not all padding");
  return layer.entropy() / baseline.entropy();
}

/// The counts on the host: waits for the device, where the backend is one.
template <Backend B, class T>
[[nodiscard]] RoutingAnalysis analyse(B& backend, const RoutingCounts<T>& counts) {
  const std::vector<T> slots = backend.read(View<T>(counts.slots));
  return {{slots.begin(), slots.end()},
          static_cast<double>(backend.value(counts.entropy.data)),
          static_cast<double>(backend.value(counts.tokens.data))};
}

}  // namespace neuroinhib
