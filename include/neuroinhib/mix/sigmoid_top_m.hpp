#pragma once

#include <neuroinhib/mix/top_m.hpp>
#include <neuroinhib/ops/activation/op.hpp>

namespace neuroinhib {
namespace detail {

/// σ(r_k) / Σ σ(r) of chosen logits, as a softmax of log σ: neither saturates nor underflows. Probabilities are divided
/// by their sum.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> sigmoid_gates(Ex& ex, const TensorOf<Ex>& chosen, ScoreKind kind) {
  return kind == ScoreKind::logits ? softmax(ex, activate(ex, chosen, Activation::log_sigmoid)) : normalise(ex, chosen);
}

}  // namespace detail

/// The M largest of σ(r_k), divided by their sum: experts do not compete before they are chosen (DeepSeek-V3).
template <Index M>
struct SigmoidTopM : detail::PlainMix<SigmoidTopM<M>, true> {
  static constexpr Index kChosen = M;
  static_assert(M >= 1, "SigmoidTopM<M> chooses at least one expert: M >= 1");
  template <Executor Ex>
  static detail::Weighed<ScalarOf<Ex>> weigh(Ex& ex, const TensorOf<Ex>& scores, ScoreKind kind) {
    const auto top = top_m(ex, scores, M);
    return {top.expert, detail::sigmoid_gates(ex, top.value, kind), {}};
  }
};

}  // namespace neuroinhib
