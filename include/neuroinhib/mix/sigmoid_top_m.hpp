#pragma once

#include <neuroinhib/mix/top_m.hpp>
#include <neuroinhib/ops/activation/op.hpp>

namespace neuroinhib {
namespace detail {

/// Sigmoid of logits; probabilities as they are.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> to_affinities(Ex& ex, const TensorOf<Ex>& scores, ScoreKind kind) {
  return kind == ScoreKind::logits ? activate(ex, scores, Activation::sigmoid) : scores;
}

}  // namespace detail

/// The M largest of σ(r_k), divided by their sum: experts do not compete before they are chosen (DeepSeek-V3).
template <Index M>
struct SigmoidTopM : detail::PlainMix<SigmoidTopM<M>, true> {
  static_assert(M >= 1, "SigmoidTopM<M> chooses at least one expert: M >= 1");
  template <Executor Ex>
  static detail::Weighed<ScalarOf<Ex>> weigh(Ex& ex, const TensorOf<Ex>& scores, ScoreKind kind) {
    const auto top = top_m(ex, detail::to_affinities(ex, scores, kind), M);
    return {top.expert, normalise(ex, top.value), {}};
  }
};

}  // namespace neuroinhib
