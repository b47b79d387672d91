#pragma once

#include <cmath>
#include <string>

#include <neuroinhib/mix/sigmoid_top_m.hpp>
#include <neuroinhib/ops/balance_bias/op.hpp>

namespace neuroinhib {

/// TopM of scores plus a bias that every training step moves towards an even load, without a loss (Wang et al. 2024;
/// DeepSeek-V3 with `sigmoid`). The bias decides who is chosen, never the gates. It is a state, kept in checkpoints.
template <Index M>
struct BalancedTopM {
  static_assert(M >= 1, "BalancedTopM<M> chooses at least one expert: M >= 1");
  static constexpr bool kTakesProbabilities = true;
  struct Config {
    double rate = 1e-3;    ///< of the bias, a step
    bool sigmoid = false;  ///< affinities σ(r_k) in the place of the softmax
  };

  template <class T>
  struct Module {
    Config config;   ///< as the layer was given
    Buffer<T> bias;  ///< [experts]

    /// Throws ConfigError unless the rate is a number ≥ 0 and there are experts enough.
    Module(const Config& options, const MixSizes& sizes) : config(options), bias(Shape{sizes.experts}) {
      require_experts("balanced top M", M, sizes);
      require_option("balanced top M", "rate", options.rate, std::isfinite(options.rate) && options.rate >= 0, "≥ 0",
                     "the paper's is 0.001");
    }
    void visit(auto&& v) { v("bias", bias); }
    template <Executor Ex>
    [[nodiscard]] Routing<T> route(Ex& ex, const RouterOutput<T>& router, ScoreKind kind,
                                   const TokenContext<T>& context = {}) const {
      const auto probabilities = config.sigmoid ? Tensor<T>{} : detail::to_probabilities(ex, router.scores, kind);
      const auto top = top_m(ex, router.scores, M,
                             {.by = affinities(ex, router.scores, probabilities, kind), .bias = bias.state().view()});
      const RoutingPlan plan = routing_plan(ex, top.expert, router.scores.cols());
      if (ex.training()) balance_bias(ex, plan, bias, config.rate, context.counted);
      return {plan, gates(ex, top.value, kind), probabilities, {}};
    }

   private:
    template <Executor Ex>
    [[nodiscard]] View<const T> affinities(Ex& ex, const Tensor<T>& scores, const Tensor<T>& probabilities,
                                           ScoreKind kind) const {
      if (!config.sigmoid) return probabilities;
      return kind == ScoreKind::logits ? activate(ex, scores.detached(), Activation::sigmoid) : scores;
    }
    /// The affinities of the chosen, divided by their sum.
    template <Executor Ex>
    [[nodiscard]] Tensor<T> gates(Ex& ex, const Tensor<T>& chosen, ScoreKind kind) const {
      if (config.sigmoid) return detail::sigmoid_gates(ex, chosen, kind);
      return kind == ScoreKind::logits ? softmax(ex, chosen) : normalise(ex, chosen);
    }
  };
};

}  // namespace neuroinhib
