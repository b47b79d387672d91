#pragma once

#include <cmath>
#include <string>

#include <neuroinhib/mix/top_m.hpp>
#include <neuroinhib/nn/linear.hpp>
#include <neuroinhib/ops/activation/op.hpp>
#include <neuroinhib/ops/dropout/op.hpp>
#include <neuroinhib/ops/elementwise/op.hpp>
#include <neuroinhib/ops/router_losses/op.hpp>

namespace neuroinhib {

/// Softmax over the M largest of W_g x + N(0, 1) ⊙ softplus(W_noise x) (Shazeer et al. 2017, eq. 3–5), with its load
/// loss w · CV(load)² (eq. 8–11). No noise, and no load loss, unless training.
template <Index M>
struct NoisyTopK {
  static_assert(M >= 1, "NoisyTopK<M> chooses at least one expert: M >= 1");
  static constexpr bool kTakesProbabilities = false;
  struct Config {
    double load_weight = 0;  ///< of the load loss; needs M < K
  };

  template <class T>
  struct Module {
    nn::Linear<T> noise;  ///< W_noise, starting at zero
    double load_weight;   ///< w

    /// Throws ConfigError unless the weight is a number ≥ 0 and there are experts enough.
    Module(const Config& config, const MixSizes& sizes)
        : noise(sizes.hidden, sizes.experts, false, LinearUse::routing), load_weight(config.load_weight) {
      require_experts("noisy top K", M, sizes);
      require_option("noisy top K", "load_weight", load_weight, std::isfinite(load_weight) && load_weight >= 0, "≥ 0",
                     "0 turns the load loss off");
      if (load_weight > 0 && M == sizes.experts)
        fail<ConfigError>("noisy top K", "M < K = " + std::to_string(sizes.experts) + " for the load loss",
                          "M = " + std::to_string(M), "set load_weight to 0 where every expert is chosen");
      noise.weight.initializer = init::zeros();
    }
    void visit(auto&& v) { v("noise", noise); }

    template <Executor Ex>
    [[nodiscard]] Routing<T> route(Ex& ex, const RouterOutput<T>& router, ScoreKind,
                                   const TokenContext<T>& context = {}) const {
      Tensor<T> scores = router.scores, load_loss;
      if (ex.training()) {
        const Tensor<T> deviation = activate(ex, noise(ex, router.hidden), Activation::softplus);
        scores = add_noise(ex, router.scores, deviation);
        if (load_weight > 0)
          load_loss =
              scale(ex, once(ex, cv_squared(ex, smooth_load(ex, router.scores, scores, deviation, M, context.counted))),
                    load_weight);
      }
      const auto top = top_m(ex, scores, M);
      return {routing_plan(ex, top.expert, scores.cols()), softmax(ex, top.value), {}, load_loss};
    }
  };
};

}  // namespace neuroinhib
