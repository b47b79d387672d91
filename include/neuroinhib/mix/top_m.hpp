#pragma once

#include <neuroinhib/mix/mix.hpp>
#include <neuroinhib/ops/normalise/op.hpp>
#include <neuroinhib/ops/softmax/op.hpp>

namespace neuroinhib {
namespace detail {

/// Softmax of logits; probabilities as they are. Experts are ranked by the scores: of probabilities, several may have
/// underflowed to zero.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> to_probabilities(Ex& ex, const TensorOf<Ex>& scores, ScoreKind kind) {
  return kind == ScoreKind::logits ? softmax(ex, scores) : scores;
}

/// The shape that every rule without parameters has: choose, weigh, plan. `Rule` gives kChosen, the experts it needs,
/// and weigh(executor, scores, kind) → {TopScores, gates, probabilities}.
template <class Rule, bool TakesProbabilities>
struct PlainMix {
  static constexpr bool kTakesProbabilities = TakesProbabilities;
  struct Config {};

  template <class T>
  struct Module {
    /// Throws ConfigError unless there are experts enough.
    Module(const Config&, const MixSizes& sizes) { require_experts("mix", Rule::kChosen, sizes); }
    void visit(auto&&) {}
    template <Executor Ex>
    [[nodiscard]] Routing<T> route(Ex& ex, const RouterOutput<T>& router, ScoreKind kind) const {
      const auto weighed = Rule::template weigh<Ex>(ex, router.scores, kind);
      return {routing_plan(ex, weighed.expert, router.scores.cols()), weighed.gates, weighed.probabilities, {}};
    }
  };
};

template <class T>
struct Weighed {
  View<int> expert;
  Tensor<T> gates, probabilities;
};

}  // namespace detail

/// The M largest probabilities, divided by their sum (Mutual-Inform SMoE, eq. 24).
template <Index M>
struct TopM : detail::PlainMix<TopM<M>, true> {
  static constexpr Index kChosen = M;
  static_assert(M >= 1, "TopM<M> chooses at least one expert: M >= 1");
  template <Executor Ex>
  static detail::Weighed<ScalarOf<Ex>> weigh(Ex& ex, const TensorOf<Ex>& scores, ScoreKind kind) {
    const auto probabilities = detail::to_probabilities(ex, scores, kind);
    const auto top = top_m(ex, probabilities, M, {.by = scores});
    return {top.expert, normalise(ex, top.value), probabilities};
  }
};

/// Softmax over the M largest logits (Mutual-Inform SMoE, eq. 2). Equal to TopM, without forming all probabilities.
template <Index M>
struct SoftmaxOfTopM : detail::PlainMix<SoftmaxOfTopM<M>, false> {
  static constexpr Index kChosen = M;
  static_assert(M >= 1, "SoftmaxOfTopM<M> chooses at least one expert: M >= 1");
  template <Executor Ex>
  static detail::Weighed<ScalarOf<Ex>> weigh(Ex& ex, const TensorOf<Ex>& scores, ScoreKind) {
    const auto top = top_m(ex, scores, M);
    return {top.expert, softmax(ex, top.value), {}};
  }
};

/// Softmax over the M largest *probabilities*: softmax twice, as the Neural Inhibition research code does. With M = 3
/// every weight lies between .21 and .58. Kept for replication.
template <Index M>
struct SoftmaxOfTopProbabilities : detail::PlainMix<SoftmaxOfTopProbabilities<M>, true> {
  static constexpr Index kChosen = M;
  static_assert(M >= 1, "SoftmaxOfTopProbabilities<M> chooses at least one expert: M >= 1");
  template <Executor Ex>
  static detail::Weighed<ScalarOf<Ex>> weigh(Ex& ex, const TensorOf<Ex>& scores, ScoreKind kind) {
    const auto probabilities = detail::to_probabilities(ex, scores, kind);
    const auto top = top_m(ex, probabilities, M, {.by = scores});
    return {top.expert, softmax(ex, top.value), probabilities};
  }
};

/// The best expert, weighted by its probability (Fedus et al. 2022): dividing by the sum would make the gate 1 and cut
/// the router off from the task's gradient.
struct Switch : detail::PlainMix<Switch, true> {
  static constexpr Index kChosen = 1;
  template <Executor Ex>
  static detail::Weighed<ScalarOf<Ex>> weigh(Ex& ex, const TensorOf<Ex>& scores, ScoreKind kind) {
    const auto probabilities = detail::to_probabilities(ex, scores, kind);
    const auto top = top_m(ex, probabilities, 1, {.by = scores});
    return {top.expert, top.value, probabilities};
  }
};

/// All experts, weighted by their probabilities: o_i = Σ_k e_i[k] g_k(u_i).
struct Dense : detail::PlainMix<Dense, true> {
  static constexpr Index kChosen = 1;
  template <Executor Ex>
  static detail::Weighed<ScalarOf<Ex>> weigh(Ex& ex, const TensorOf<Ex>& scores, ScoreKind kind) {
    const auto probabilities = detail::to_probabilities(ex, scores, kind);
    const auto top = top_m(ex, probabilities, scores.cols(), {.by = scores});
    return {top.expert, top.value, probabilities};
  }
};

}  // namespace neuroinhib
