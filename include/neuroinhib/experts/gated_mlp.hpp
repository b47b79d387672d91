#pragma once

#include <string>

#include <neuroinhib/experts/expert.hpp>
#include <neuroinhib/ops/activation/op.hpp>
#include <neuroinhib/ops/gated_experts/op.hpp>

namespace neuroinhib {

/// g_k(u) = W_down (f(W_gate u) ⊙ W_up u): the GLU variants of Shazeer 2020, without biases.
template <class ActivationTag>
struct GatedMlp {
  struct Config {};

  template <class T>
  struct Module {
    ExpertLinear<T> gate, up, down;  ///< W_gate, W_up and W_down of all experts

    /// Throws ConfigError unless there is exactly one hidden width.
    Module(const Config&, const ExpertSizes& sizes) {
      if (sizes.hidden.size() != 1)
        fail<ConfigError>("gated expert", "one hidden width", std::to_string(sizes.hidden.size()) + " widths",
                          "set hidden = {width}");
      gate = {sizes.experts, sizes.features, sizes.hidden[0], false};
      up = {sizes.experts, sizes.features, sizes.hidden[0], false};
      down = {sizes.experts, sizes.hidden[0], sizes.output, false};
    }
    void visit(auto&& v) {
      v("gate", gate);
      v("up", up);
      v("down", down);
    }
    template <Executor Ex>
    [[nodiscard]] Tensor<T> forward(Ex& ex, const Tensor<T>& x, const RoutingPlan& plan) const {
      const Tensor<T> hidden = gated_activation(ex, gate(ex, x, plan, ExpertRows::tokens),
                                                up(ex, x, plan, ExpertRows::tokens), ActivationTag::kind);
      return down(ex, hidden, plan, ExpertRows::slots);
    }
    /// The experts' weighted sum, Σ gates · g_k(u): in one operation, where the backend has it.
    template <Executor Ex>
    [[nodiscard]] Tensor<T> combined(Ex& ex, const Tensor<T>& x, const Tensor<T>& gates,
                                     const RoutingPlan& plan) const {
      const GatedWeights<T> weights{gate.weight, up.weight, down.weight};
      if constexpr (FusesGatedExperts<Ex>)
        if (ex.backend().multiplies_halves() && whole_pieces(weights))
          return gated_experts<ActivationTag::kind>(ex, x, weights, gates, plan);
      return combine(ex, forward(ex, x, plan), gates, plan);
    }
  };
};

/// GatedMlp with SiLU: the experts of Llama, Mixtral and Qwen.
using SwiGlu = GatedMlp<Silu>;
/// GatedMlp with GELU.
using GeGlu = GatedMlp<Gelu>;

}  // namespace neuroinhib
