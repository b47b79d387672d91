#pragma once

#include <neuroinhib/mix/top_m.hpp>

namespace neuroinhib {

/// As many experts as it takes to reach the probability p, `Max` at the most: the undecided token gets more of them
/// (Huang et al. 2024, "Harder tasks need more experts"). Gates are the probabilities, not divided by their sum.
template <Index Max>
struct TopP {
  static_assert(Max >= 1, "TopP<Max> chooses at least one expert: Max >= 1");
  static constexpr bool kTakesProbabilities = true;
  struct Config {
    double p = 0.4;
    bool renormalise = false;  ///< whether gates are divided by their sum
  };

  template <class T>
  struct Module {
    Config config;  ///< as the layer was given

    /// Throws ConfigError unless 0 < p ≤ 1 and there are experts enough.
    Module(const Config& options, const MixSizes& sizes) : config(options) {
      require_experts("top P", Max, sizes);
      require_option("top P", "p", options.p, options.p > 0 && options.p <= 1, "in (0, 1]",
                     "p is the mass that is kept");
    }
    void visit(auto&&) {}
    template <Executor Ex>
    [[nodiscard]] Routing<T> route(Ex& ex, const RouterOutput<T>& router, ScoreKind kind) const {
      const auto probabilities = detail::to_probabilities(ex, router.scores, kind);
      const auto top =
          nucleus<Ex>(ex, top_m(ex, probabilities, Max, {.by = router.scores}), probabilities.cols(), config.p);
      const auto gates = config.renormalise ? normalise(ex, top.value) : top.value;
      return {routing_plan(ex, top.expert, probabilities.cols(), true), gates, probabilities, {}};
    }
  };
};

}  // namespace neuroinhib
