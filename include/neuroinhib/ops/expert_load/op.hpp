#pragma once

#include <neuroinhib/ops/count_tokens/op.hpp>
#include <neuroinhib/ops/routing_plan/op.hpp>

namespace neuroinhib {
namespace ops {

/// load[k] = the slots of counted tokens that expert k got. load [experts]. y is undefined.
template <class T>
struct ExpertLoad {
  static constexpr const char* name = "expert_load";
  RoutingPlan plan;  ///< whose slots are counted
  CountedTokens<T> counted;
  Tensor<T> load, y;
};

}  // namespace ops

/// How many of a plan's slots each expert got, of all ranks' plans, padding left out: [experts], without gradient.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> expert_load(Ex& ex, const RoutingPlan& plan,
                                       const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  const auto load = ex.tensor({plan.experts}, false);
  ex.run(ops::ExpertLoad<ScalarOf<Ex>>{plan, detail::counted_of(ex, "expert load", counted, plan.tokens()), load, {}});
  return all_reduce(ex, load);
}

}  // namespace neuroinhib
