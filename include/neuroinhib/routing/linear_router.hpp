#pragma once

#include <neuroinhib/nn/linear.hpp>
#include <neuroinhib/routing/router.hpp>

namespace neuroinhib {

/// r(u) = W u + b. Inhibition acts on the router's view of the features themselves: z = u.
struct LinearRouter {
  static constexpr ScoreKind kScoreKind = ScoreKind::logits;
  struct Config {
    bool bias = true;  ///< whether there is b
  };

  template <class T>
  struct Module {
    nn::Linear<T> score;  ///< W and b

    Module(const Config& config, Index features, Index experts)
        : score(features, experts, config.bias, LinearUse::routing) {}
    void visit(auto&& v) { v("score", score); }
    [[nodiscard]] Index gated_width() const { return score.weight.tensor.shape[1]; }
    template <Executor Ex>
    [[nodiscard]] Tensor<T> gated(Ex&, const Tensor<T>& x) const {
      return x;
    }
    template <Executor Ex>
    [[nodiscard]] RouterOutput<T> scores(Ex& ex, const Tensor<T>& z) const {
      return {score(ex, z), z};
    }
  };
};

}  // namespace neuroinhib
