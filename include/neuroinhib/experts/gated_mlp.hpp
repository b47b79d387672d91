#pragma once

#include <string>

#include <neuroinhib/experts/expert.hpp>
#include <neuroinhib/ops/activation/op.hpp>

namespace neuroinhib {

/// g_k(u) = W_down (f(W_gate u) ⊙ W_up u): the GLU variants of Shazeer 2020, without biases.
template <class ActivationTag>
struct GatedMlp {
  struct Config {};

  template <class T>
  struct Module {
    ExpertLinear<T> gate, up, down;

    /// Throws ConfigError unless there is exactly one hidden width.
    Module(const Config&, const ExpertSizes& sizes) {
      if (sizes.hidden.size() != 1)
        fail<ConfigError>("gated expert", "one hidden width", std::to_string(sizes.hidden.size()),
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
  };
};

using SwiGlu = GatedMlp<Silu>;
using GeGlu = GatedMlp<Gelu>;

}  // namespace neuroinhib
