#pragma once

#include <string>

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/mix/top_m.hpp>

namespace neuroinhib {

/// TopM whose M grows linearly over the training steps: SMoE-dropout's schedule, from few experts to all (Chen et al.
/// 2023). A step can be captured as a graph once M has stopped growing.
struct ScheduledTopM {
  static constexpr bool kTakesProbabilities = true;
  struct Config {
    Index first = 2;         ///< M of the first step
    Index last = 0;          ///< M in the end; 0: all experts
    Index growth_steps = 0;  ///< training steps until then
  };

  template <class T>
  struct Module {
    Config config;    ///< as the layer was given
    Index last;       ///< M at the end
    Buffer<T> steps;  ///< training steps so far, up to growth_steps

    /// Throws ConfigError unless 1 ≤ first ≤ last ≤ experts.
    Module(const Config& options, const MixSizes& sizes)
        : config(options), last(options.last > 0 ? options.last : sizes.experts), steps(Shape{1}) {
      const std::string within = "between first and K = " + std::to_string(sizes.experts);
      require_option("scheduled top M", "first", options.first, options.first >= 1, "≥ 1",
                     "begin with one expert or more");
      require_option("scheduled top M", "last", last, last >= options.first && last <= sizes.experts, within,
                     "0 ends with all experts; lower first, or give the layer more experts");
      require_option("scheduled top M", "growth_steps", options.growth_steps,
                     options.growth_steps >= 0 && options.growth_steps <= kMaxCounted<T>,
                     "from 0 to " + std::to_string(kMaxCounted<T>), "0 chooses last experts from the first step on");
      steps.stays_on_host = steps.counts = true;
    }
    void visit(auto&& v) { v("steps", steps); }
    /// M of the next training step.
    [[nodiscard]] Index chosen() const {
      const auto step = static_cast<Index>(*steps.data());
      return step >= config.growth_steps ? last : config.first + (last - config.first) * step / config.growth_steps;
    }
    template <Executor Ex>
    [[nodiscard]] Routing<T> route(Ex& ex, const RouterOutput<T>& router, ScoreKind kind) const {
      const auto probabilities = detail::to_probabilities(ex, router.scores, kind);
      const auto top = top_m(ex, probabilities, chosen(), {.by = router.scores});
      if (ex.training()) count(ex);
      return {routing_plan(ex, top.expert, probabilities.cols()), normalise(ex, top.value), probabilities, {}};
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
