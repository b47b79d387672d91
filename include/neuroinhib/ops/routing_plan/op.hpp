#pragma once

#include <string>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {

/// Which expert serves which token. A slot is one choice of one token: slot = token · chosen + rank.
struct RoutingPlan {
  Index experts = 0;
  View<int> expert;    ///< [tokens, chosen] expert of each slot, best first
  View<int> order;     ///< [slots] slots sorted by expert, tokens in order within an expert
  View<int> position;  ///< [slots] place of each slot in `order`: its inverse
  View<int> offsets;   ///< [experts + 1] where each expert's part of `order` begins

  NEUROINHIB_DEVICE [[nodiscard]] Index tokens() const { return expert.shape[0]; }
  NEUROINHIB_DEVICE [[nodiscard]] Index chosen() const { return expert.shape[1]; }
  NEUROINHIB_DEVICE [[nodiscard]] Index slots() const { return expert.size(); }
};

namespace ops {

/// The `chosen` largest of every row of scores [tokens, experts], in falling order, equals by lowest index.
/// expert, y [tokens, chosen]; dscores = dy at the chosen places, zero elsewhere.
template <class T>
struct TopM {
  static constexpr const char* name = "top_m";
  Tensor<T> scores;
  View<int> expert;
  Tensor<T> y;
};

/// Sorts the plan's slots by expert: a counting sort, stable. Not differentiable; y is undefined.
template <class T>
struct SortSlots {
  static constexpr const char* name = "sort_slots";
  RoutingPlan plan;
  Tensor<T> y;
};

}  // namespace ops

template <class T>
struct TopScores {
  View<int> expert;  ///< [tokens, chosen]
  Tensor<T> value;   ///< [tokens, chosen]
};

/// The `chosen` largest scores of each token. Throws ConfigError unless 1 ≤ chosen ≤ experts.
template <Executor Ex>
[[nodiscard]] TopScores<ScalarOf<Ex>> top_m(Ex& ex, const TensorOf<Ex>& scores, Index chosen) {
  require_width("top M", scores.cols(), scores.shape, "");
  if (chosen < 1 || chosen > scores.cols())
    fail<ConfigError>("top M", "1 ≤ M ≤ K = " + std::to_string(scores.cols()) + " experts",
                      "M = " + std::to_string(chosen), "choose no more experts than there are");
  const auto expert = ex.integers({scores.rows(), chosen});
  auto value = ex.tensor({scores.rows(), chosen}, scores.wants_gradient());
  ex.run(ops::TopM<ScalarOf<Ex>>{scores, expert, value});
  return {expert, value};
}

/// Offsets and orders for the given choice of experts.
template <Executor Ex>
[[nodiscard]] RoutingPlan routing_plan(Ex& ex, const View<int>& expert, Index experts) {
  RoutingPlan plan{experts, expert, ex.integers({expert.size()}), ex.integers({expert.size()}),
                   ex.integers({experts + 1})};
  ex.run(ops::SortSlots<ScalarOf<Ex>>{plan, {}});
  return plan;
}

}  // namespace neuroinhib
