#pragma once

#include <concepts>
#include <vector>

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/inhibition/inhibition.hpp>
#include <neuroinhib/ops/combine/op.hpp>
#include <neuroinhib/ops/grouped_linear/op.hpp>

/// What experts have in common: all experts of a layer as one module, run on the slots of a routing plan.
namespace neuroinhib {

/// Sizes that a layer gives its experts.
struct ExpertSizes {
  Index features = 0;         ///< of a token
  Index output = 0;           ///< of an expert's output
  Index experts = 0;          ///< K
  std::vector<Index> hidden;  ///< widths of the hidden layers
};

/// One linear layer for each of K experts, initialised as torch.nn.Linear.
template <class T>
struct ExpertLinear {
  Parameter<T> weight;  ///< [experts, out, in]
  Parameter<T> bias;    ///< [experts, out], or none

  ExpertLinear() = default;
  /// Without memory, until Parameters gives it some; `in` and `out` are the widths.
  ExpertLinear(Index experts, Index in, Index out, bool with_bias = true)
      : weight({experts, out, in}, init::fan_in_uniform(in)) {
    if (with_bias) bias = {{experts, out}, init::fan_in_uniform(in)};
  }
  void visit(auto&& v) {
    v("weight", weight);
    if (bias.tensor.size() > 0) v("bias", bias);
  }
  /// The experts' outputs [slots, out] in the plan's order; `rows` says how x lies. Throws ShapeError.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> operator()(Ex& ex, const Tensor<T>& x, const RoutingPlan& plan, ExpertRows rows) const {
    const Tensor<T>& first = weight;  // as in Linear
    return grouped_linear(ex, x, first, bias, plan, rows);
  }
};

namespace detail {

/// Σ_k gate_k g_k(u), in one operation where the experts have it.
template <Executor Ex, class Module>
[[nodiscard]] TensorOf<Ex> combined(Ex& ex, const Module& experts, const TensorOf<Ex>& x, const TensorOf<Ex>& gates,
                                    const RoutingPlan& plan) {
  if constexpr (requires { experts.combined(ex, x, gates, plan); })
    return experts.combined(ex, x, gates, plan);
  else
    return combine(ex, experts.forward(ex, x, plan), gates, plan);
}

/// What serves every token: of experts that are spread over ranks those that they spread, whole on every rank.
template <class Experts>
struct OnEveryRank {
  using Type = Experts;
  static const typename Type::Config& config(const typename Experts::Config& config) { return config; }
};
template <class Experts>
  requires requires { typename Experts::OnEveryRank; }
struct OnEveryRank<Experts> {
  using Type = typename Experts::OnEveryRank;
  static const typename Type::Config& config(const typename Experts::Config& config) {
    return Experts::on_every_rank(config);
  }
};

}  // namespace detail

/// Has Module<T>(Config, ExpertSizes).
template <class P>
concept ExpertHasModule =
    std::constructible_from<typename P::template Module<float>, const typename P::Config&, const ExpertSizes&>;

/// Its Module<float> has forward(executor, x, plan).
template <class P>
concept ExpertHasForward = requires(const typename P::template Module<float>& module, detail::AnyExecutor& ex,
                                    const Tensor<float>& x, const RoutingPlan& plan) {
  { module.forward(ex, x, plan) } -> std::same_as<Tensor<float>>;
};

/// A policy struct with a Config and a template Module<T>(Config, ExpertSizes) that has
/// forward(executor, x [tokens, features], plan) → [slots, output] in the plan's order, and visit(visitor).
template <class P>
concept ExpertPolicy = HasConfig<P> && ExpertHasModule<P> && ExpertHasForward<P>;

}  // namespace neuroinhib
