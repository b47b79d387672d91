#pragma once

#include <string>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {

/// Which expert serves which token. A slot is one choice of one token: slot = token · chosen + rank.
struct RoutingPlan {
  Index experts = 0;
  View<int> expert;      ///< [tokens, chosen] expert of each slot, best first
  View<int> order;       ///< [slots] slots sorted by expert, tokens in order within an expert
  View<int> position;    ///< [slots] place of each slot in `order`: its inverse
  View<int> offsets;     ///< [experts + 1] where each expert's part of `order` begins
  bool partial = false;  ///< some slots have no expert: theirs is `experts`, and they come last in `order`

  NEUROINHIB_DEVICE [[nodiscard]] Index tokens() const { return expert.shape[0]; }
  NEUROINHIB_DEVICE [[nodiscard]] Index chosen() const { return expert.shape[1]; }
  NEUROINHIB_DEVICE [[nodiscard]] Index slots() const { return expert.size(); }
};

namespace ops {

/// The `chosen` largest of every row of scores [tokens, experts] (+ bias [experts], which ranks but is no part of y),
/// in falling order, equals by lowest index. expert, y [tokens, chosen]; dscores = dy at the chosen places, zero
/// elsewhere; also where a slot has no expert.
template <class T>
struct TopM {
  static constexpr const char* name = "top_m";
  Tensor<T> scores;
  View<const T> bias;
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

/// Of values [tokens, chosen] in falling order, those before whose sum reaches p, and that one; the others are zero and
/// have no expert (`experts`). expert, kept, y [tokens, chosen]; dvalues = dy at the kept places.
template <class T>
struct Nucleus {
  static constexpr const char* name = "nucleus";
  Tensor<T> values;
  View<const int> expert;
  View<int> kept;
  Tensor<T> y;
  int experts;
  T p;
};

/// Every expert takes the `capacity` tokens of each window of `length` rows that score best with it, ties by lowest
/// row; a token keeps the `chosen` best of those that took it. scores [tokens, experts]; expert, y [tokens, chosen],
/// falling.
template <class T>
struct ExpertChoice {
  static constexpr const char* name = "expert_choice";
  Tensor<T> scores;
  View<int> expert;
  Tensor<T> y;
  Index length, capacity;
};

/// expert[i, s] = s, y = 1: all experts serve all tokens. expert, y [tokens, experts].
template <class T>
struct EveryExpert {
  static constexpr const char* name = "every_expert";
  View<int> expert;
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
[[nodiscard]] TopScores<ScalarOf<Ex>> top_m(Ex& ex, const TensorOf<Ex>& scores, Index chosen,
                                            const View<const ScalarOf<Ex>>& bias = {}) {
  require_width("top M", scores.cols(), scores.shape, "");
  if (chosen < 1 || chosen > scores.cols())
    fail<ConfigError>("top M", "1 ≤ M ≤ K = " + std::to_string(scores.cols()) + " experts",
                      "M = " + std::to_string(chosen), "choose no more experts than there are");
  const auto expert = ex.integers({scores.rows(), chosen});
  auto value = ex.tensor({scores.rows(), chosen}, scores.wants_gradient());
  ex.run(ops::TopM<ScalarOf<Ex>>{scores, bias, expert, value});
  return {expert, value};
}

/// The fewest of the sorted `top` whose sum reaches p. Throws ConfigError unless 0 < p ≤ 1.
template <Executor Ex>
[[nodiscard]] TopScores<ScalarOf<Ex>> nucleus(Ex& ex, const TopScores<ScalarOf<Ex>>& top, Index experts, double p) {
  if (!(p > 0 && p <= 1))
    fail<ConfigError>("top P", "a probability in (0, 1]", std::to_string(p), "p is the mass that is kept");
  const auto kept = ex.integers(top.expert.shape);
  auto value = ex.tensor(top.value.shape, top.value.wants_gradient());
  ex.run(ops::Nucleus<ScalarOf<Ex>>{top.value, top.expert, kept, value, static_cast<int>(experts),
                                    static_cast<ScalarOf<Ex>>(p)});
  return {kept, value};
}

/// Expert choice within windows of `length` rows. Throws ShapeError unless they divide the tokens.
template <Executor Ex>
[[nodiscard]] TopScores<ScalarOf<Ex>> expert_choice(Ex& ex, const TensorOf<Ex>& scores, Index chosen, Index length,
                                                    Index capacity) {
  if (length < 1 || scores.rows() % length != 0)
    fail<ShapeError>("expert choice", "whole windows of " + std::to_string(length) + " tokens",
                     std::to_string(scores.rows()) + " tokens", "fill the last sequence up");
  const auto expert = ex.integers({scores.rows(), chosen});
  auto value = ex.tensor({scores.rows(), chosen}, scores.wants_gradient());
  ex.run(ops::ExpertChoice<ScalarOf<Ex>>{scores, expert, value, length, capacity});
  return {expert, value};
}

/// Offsets and orders for the given choice of experts; `partial` where slots may have none.
template <Executor Ex>
[[nodiscard]] RoutingPlan routing_plan(Ex& ex, const View<int>& expert, Index experts, bool partial = false) {
  RoutingPlan plan{
      experts, expert, ex.integers({expert.size()}), ex.integers({expert.size()}), ex.integers({experts + 1}), partial};
  ex.run(ops::SortSlots<ScalarOf<Ex>>{plan, {}});
  return plan;
}

template <class T>
struct PlanWithGates {
  RoutingPlan plan;
  Tensor<T> gates;
};

/// All experts for all tokens, with gates of one.
template <Executor Ex>
[[nodiscard]] PlanWithGates<ScalarOf<Ex>> every_expert(Ex& ex, Index tokens, Index experts) {
  const auto expert = ex.integers({tokens, experts});
  const auto ones = ex.tensor({tokens, experts}, false);
  ex.run(ops::EveryExpert<ScalarOf<Ex>>{expert, ones});
  return {routing_plan(ex, expert, experts), ones};
}

}  // namespace neuroinhib
