#pragma once

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
    Config config;
    Buffer<T> bias;  ///< [experts]

    Module(const Config& options, const MixSizes& sizes) : config(options), bias(Shape{sizes.experts}) {}
    void visit(auto&& v) { v("bias", bias); }
    template <Executor Ex>
    [[nodiscard]] Routing<T> route(Ex& ex, const RouterScores<T>& router, ScoreKind kind) const {
      const auto affinities = config.sigmoid ? detail::to_affinities(ex, router.scores, kind)
                                             : detail::to_probabilities(ex, router.scores, kind);
      const auto top = top_m<Ex>(ex, affinities, M, View<const T>{bias.data(), bias.shape()});
      const RoutingPlan plan = routing_plan(ex, top.expert, affinities.cols());
      if (ex.training()) balance_bias(ex, plan, bias, config.rate);
      return {plan, normalise(ex, top.value), config.sigmoid ? Tensor<T>{} : affinities, {}};
    }
  };
};

}  // namespace neuroinhib
