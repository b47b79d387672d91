#pragma once

#include <string>

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/count_tokens/op.hpp>
#include <neuroinhib/ops/ranked.hpp>

namespace neuroinhib {

/// Which expert serves which token. A slot is one choice of one token: slot = token · chosen + rank.
struct RoutingPlan {
  Index experts = 0;     ///< K
  View<int> expert;      ///< [tokens, chosen] expert of each slot, best first
  View<int> order;       ///< [slots] slots sorted by expert, tokens in order within an expert
  View<int> position;    ///< [slots] place of each slot in `order`: its inverse
  View<int> offsets;     ///< [experts + 1] where each expert's part of `order` begins
  bool partial = false;  ///< some slots have no expert: theirs is `experts`, and they come last in `order`

  /// Tokens that are routed.
  NEUROINHIB_DEVICE [[nodiscard]] Index tokens() const { return expert.shape[0]; }
  NEUROINHIB_DEVICE [[nodiscard]] Index chosen() const { return expert.shape[1]; }
  /// Slots of all tokens: tokens · chosen.
  NEUROINHIB_DEVICE [[nodiscard]] Index slots() const { return expert.size(); }
};

namespace ops {

/// y = the scores [tokens, experts] of the `chosen` experts of each row that rank first: by `by` [tokens, experts]
/// (none: the scores) + bias [experts], equals by their scores, then by lowest index; NaN ranks first. expert, y
/// [tokens, chosen], in that order; dscores = dy at the chosen places, zero elsewhere; also where a slot has no expert.
template <class T>
struct TopM {
  static constexpr const char* name = "top_m";
  Tensor<T> scores;
  View<const T> by, bias;
  View<int> expert;
  Tensor<T> y;
  Index experts = scores.cols(), chosen = y.cols();  ///< a kernel would divide for each token

  /// Expert k of a token, as it is ranked.
  NEUROINHIB_DEVICE [[nodiscard]] Ranked<T> ranked(Index token, int k) const {
    const Index at = token * experts + k;
    const T rank = by.data != nullptr ? by[at] : scores[at];
    return {bias.data != nullptr ? rank + bias[k] : rank, scores[at], k};
  }
  /// The best of experts first, first + step, … that come after `last`, if there is a last one. Below zero: none.
  NEUROINHIB_DEVICE [[nodiscard]] Ranked<T> next(Index token, const Ranked<T>& last, int first, int step) const {
    Ranked<T> best(T{0}, -1);
    for (int k = first; k < experts; k += step) {
      const Ranked<T> candidate = ranked(token, k);
      if ((last.number < 0 || last.before(candidate)) && (best.number < 0 || candidate.before(best))) best = candidate;
    }
    return best;
  }
  /// Writes the token's m-th expert, k, and its score.
  NEUROINHIB_DEVICE void choose(Index token, Index m, int k) const {
    expert[token * chosen + m] = k;
    y[token * chosen + m] = scores[token * experts + k];
  }
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
/// row, NaN first; a token keeps the `chosen` best of those that took it. Tokens that do not count are not taken.
/// scores [tokens, experts]; expert, y [tokens, chosen], falling.
template <class T>
struct ExpertChoice {
  static constexpr const char* name = "expert_choice";
  Tensor<T> scores;
  View<int> expert;
  Tensor<T> y;
  Index length, capacity;
  CountedTokens<T> counted;  ///< tokens that count
};

/// expert[i, s] = s, y = 1: all experts serve all tokens. expert, y [tokens, experts].
template <class T>
struct EveryExpert {
  static constexpr const char* name = "every_expert";
  View<int> expert;
  Tensor<T> y;
};

}  // namespace ops

/// What top_m() gives.
template <class T>
struct TopScores {
  View<int> expert;  ///< [tokens, chosen]
  Tensor<T> value;   ///< [tokens, chosen]
};

/// What experts are ranked by, where it is not the scores themselves.
template <class T>
struct Ranking {
  View<const T> by{};    ///< [tokens, experts] numbers in the scores' place
  View<const T> bias{};  ///< [experts] added to them
};

/// The `chosen` best scores of each token. Throws ConfigError unless 1 ≤ chosen ≤ experts.
template <Executor Ex>
[[nodiscard]] TopScores<ScalarOf<Ex>> top_m(Ex& ex, const TensorOf<Ex>& scores, Index chosen,
                                            const Ranking<ScalarOf<Ex>>& ranking = {}) {
  require_rows("top M", scores.shape);
  if (chosen < 1 || chosen > scores.cols())
    fail<ConfigError>("top M", "1 ≤ M ≤ K = " + std::to_string(scores.cols()) + " experts",
                      "M = " + std::to_string(chosen), "lower M, or give the layer more experts");
  const auto expert = ex.integers({scores.rows(), chosen});
  auto value = ex.tensor({scores.rows(), chosen}, scores.wants_gradient());
  ex.run(ops::TopM<ScalarOf<Ex>>{scores, ranking.by, ranking.bias, expert, value});
  return {expert, value};
}

/// The fewest of the sorted `top` whose sum reaches p. Throws ConfigError unless 0 < p ≤ 1.
template <Executor Ex>
[[nodiscard]] TopScores<ScalarOf<Ex>> nucleus(Ex& ex, const TopScores<ScalarOf<Ex>>& top, Index experts, double p) {
  require_option("top P", "p", p, p > 0 && p <= 1, "in (0, 1]", "p is the mass that is kept");
  const auto kept = ex.integers(top.expert.shape);
  auto value = ex.tensor(top.value.shape, top.value.wants_gradient());
  ex.run(ops::Nucleus<ScalarOf<Ex>>{top.value, top.expert, kept, value, static_cast<int>(experts),
                                    static_cast<ScalarOf<Ex>>(p)});
  return {kept, value};
}

/// Expert choice within windows of `length` rows. Throws ShapeError unless they divide the tokens.
template <Executor Ex>
[[nodiscard]] TopScores<ScalarOf<Ex>> expert_choice(Ex& ex, const TensorOf<Ex>& scores, Index chosen, Index length,
                                                    Index capacity, const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  if (length < 1 || scores.rows() % length != 0)
    fail<ShapeError>("expert choice", "whole windows of " + std::to_string(length) + " tokens",
                     std::to_string(scores.rows()) + " tokens", "fill the last sequence up, with documents below zero");
  const auto expert = ex.integers({scores.rows(), chosen});
  auto value = ex.tensor({scores.rows(), chosen}, scores.wants_gradient());
  ex.run(ops::ExpertChoice<ScalarOf<Ex>>{scores, expert, value, length, capacity,
                                         detail::counted_of(ex, "expert choice", counted, scores.rows())});
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

/// What every_expert() gives.
template <class T>
struct PlanWithGates {
  RoutingPlan plan;  ///< all experts for all tokens
  Tensor<T> gates;   ///< [tokens, experts], all one
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
