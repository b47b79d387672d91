#pragma once

#include <neuroinhib/nn/linear.hpp>
#include <neuroinhib/ops/activation/op.hpp>
#include <neuroinhib/routing/router.hpp>

namespace neuroinhib {

/// r(x) = W₂ f(z*) + b₂ with z = W₁ x + b₁: the router of the Neural Inhibition paper, whose hidden pre-activation z is
/// what inhibition acts on.
template <class ActivationTag = Tanh>
struct TwoLayerRouter {
  static constexpr ScoreKind kScoreKind = ScoreKind::logits;
  struct Config {
    Index hidden = 128;
  };

  template <class T>
  struct Module {
    nn::Linear<T> hidden, score;  ///< W₁ and b₁; W₂ and b₂

    Module(const Config& config, Index features, Index experts)
        : hidden(features, config.hidden, true, LinearUse::routing),
          score(config.hidden, experts, true, LinearUse::routing) {}
    void visit(auto&& v) {
      v("hidden", hidden);
      v("score", score);
    }
    [[nodiscard]] Index gated_width() const { return hidden.weight.tensor.shape[0]; }
    template <Executor Ex>
    [[nodiscard]] Tensor<T> gated(Ex& ex, const Tensor<T>& x) const {
      return hidden(ex, x);
    }
    template <Executor Ex>
    [[nodiscard]] RouterOutput<T> scores(Ex& ex, const Tensor<T>& z) const {
      const Tensor<T> active = activate(ex, z, ActivationTag::kind);
      return {score(ex, active), active};
    }
  };
};

}  // namespace neuroinhib
