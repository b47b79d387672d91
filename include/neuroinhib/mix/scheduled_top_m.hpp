#pragma once

#include <cmath>
#include <string>

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/mix/top_m.hpp>
#include <neuroinhib/ops/balance_bias/op.hpp>

namespace neuroinhib {

/// TopM whose M grows linearly over the training steps: SMoE-dropout's schedule, from few experts to all (Chen et al.
/// 2023). A step can be captured as a graph once M has stopped growing.
struct ScheduledTopM {
  static constexpr bool kTakesProbabilities = true;
  struct Config {
    Index first = 2;         ///< M of the first step
    Index last = 0;          ///< M in the end; 0: all experts
    Index growth_steps = 0;  ///< training steps until then
    double bias_rate = 0;    ///< of a bias that evens the load as BalancedTopM's does, a step; 0: none
  };

  template <class T>
  struct Module {
    Config config;    ///< as the layer was given
    Index last;       ///< M at the end
    Buffer<T> steps;  ///< training steps so far, up to growth_steps
    Buffer<T> bias;   ///< [experts], where there is one

    /// Throws ConfigError unless 1 ≤ first ≤ last ≤ experts, and the rate is a number ≥ 0.
    Module(const Config& options, const MixSizes& sizes)
        : config(options),
          last(options.last > 0 ? options.last : sizes.experts),
          steps(Shape{1}),
          bias(Shape{sizes.experts}) {
      const std::string within = "between first and K = " + std::to_string(sizes.experts);
      require_option("scheduled top M", "first", options.first, options.first >= 1, "≥ 1",
                     "begin with one expert or more");
      require_option("scheduled top M", "last", last, last >= options.first && last <= sizes.experts, within,
                     "0 ends with all experts; lower first, or give the layer more experts");
      require_option("scheduled top M", "growth_steps", options.growth_steps,
                     options.growth_steps >= 0 && options.growth_steps <= kMaxCounted<T>,
                     "from 0 to " + std::to_string(kMaxCounted<T>), "0 chooses last experts from the first step on");
      require_option("scheduled top M", "bias_rate", options.bias_rate,
                     std::isfinite(options.bias_rate) && options.bias_rate >= 0, "≥ 0",
                     "0.001 evens the load, 0 is without a bias");
      steps.stays_on_host = steps.counts = true;
    }
    void visit(auto&& v) {
      v("steps", steps);
      if (config.bias_rate > 0) v("bias", bias);
    }
    /// M of the next training step.
    [[nodiscard]] Index chosen() const {
      const auto step = static_cast<Index>(*steps.data());
      return step >= config.growth_steps ? last : config.first + (last - config.first) * step / config.growth_steps;
    }
    template <Executor Ex>
    [[nodiscard]] Routing<T> route(Ex& ex, const RouterOutput<T>& router, ScoreKind kind,
                                   const TokenContext<T>& context = {}) const {
      const auto probabilities = detail::to_probabilities(ex, router.scores, kind);
      const bool biased = config.bias_rate > 0;
      const auto top = biased ? top_m(ex, probabilities, chosen(), {.by = probabilities, .bias = bias.state().view()})
                              : top_m(ex, probabilities, chosen(), {.by = router.scores});
      const RoutingPlan plan = routing_plan(ex, top.expert, probabilities.cols());
      if (ex.training()) count(ex);
      if (ex.training() && biased) balance_bias(ex, plan, bias, config.bias_rate, context.counted);
      return {plan, normalise(ex, top.value), probabilities, {}};
    }

   private:
    template <Executor Ex>
    void count(Ex& ex) const {
      T& step = *steps.data();
      if (step >= static_cast<T>(config.growth_steps)) return;
      if constexpr (requires { ex.backend().next_step_differs(); }) ex.backend().next_step_differs();
      step += 1;
    }
  };
};

}  // namespace neuroinhib
