#pragma once

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/ops/linear/op.hpp>
#include <neuroinhib/routing/router.hpp>

namespace neuroinhib {

/// r(u) = W u with W drawn at the start and never trained: the router of SMoE-dropout (Chen et al. 2023), whose mix is
/// ScheduledTopM. W is a state, kept in checkpoints; gradients reach u.
struct RandomRouter {
  static constexpr ScoreKind kScoreKind = ScoreKind::logits;
  struct Config {};

  template <class T>
  struct Module {
    Buffer<T> weight;  ///< W [experts, features]

    Module(const Config&, Index features, Index experts)
        : weight(Shape{experts, features}, init::fan_in_uniform(features)) {}
    void visit(auto&& v) { v("weight", weight); }
    [[nodiscard]] Index gated_width() const { return weight.start[1]; }
    template <Executor Ex>
    [[nodiscard]] Tensor<T> gated(Ex&, const Tensor<T>& x) const {
      return x;
    }
    template <Executor Ex>
    [[nodiscard]] RouterOutput<T> scores(Ex& ex, const Tensor<T>& z) const {
      Tensor<T> frozen;
      frozen.data = weight.data();
      frozen.shape = weight.start;
      frozen.space = &weight.state().values.space();
      return {linear(ex, z, frozen, {}, LinearUse::routing), z};
    }
  };
};

}  // namespace neuroinhib
