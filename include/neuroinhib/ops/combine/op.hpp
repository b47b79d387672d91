#pragma once

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/routing_plan/op.hpp>

namespace neuroinhib {
namespace ops {

/// y[i] = Σ_m gates[i, m] · expert_output[position of slot (i, m)], summed in the order of m.
/// expert_output [slots, width] in the plan's order, gates [tokens, chosen], y [tokens, width].
template <class T>
struct Combine {
  static constexpr const char* name = "combine";
  Tensor<T> expert_output, gates, y;
  RoutingPlan plan;
};

}  // namespace ops

/// The weighted sum of each token's experts, o_i = Σ_k gate_k g_k(u_i). Throws ShapeError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> combine(Ex& ex, const TensorOf<Ex>& expert_output, const TensorOf<Ex>& gates,
                                   const RoutingPlan& plan) {
  require_shape("combine gates", plan.expert.shape, gates.shape, "pass one gate a slot of the plan");
  if (expert_output.rows() != plan.slots())
    fail<ShapeError>("combine", std::to_string(plan.slots()) + " expert outputs", expert_output.shape.text(),
                     "pass one row a slot, in the plan's order");
  auto y = ex.tensor({plan.tokens(), expert_output.cols()}, any_wants_gradient(expert_output, gates));
  ex.run(ops::Combine<ScalarOf<Ex>>{expert_output, gates, y, plan});
  return y;
}

}  // namespace neuroinhib
