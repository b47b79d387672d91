#pragma once

#include <string>
#include <string_view>

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/routing_plan/op.hpp>

namespace neuroinhib {
namespace ops {

/// y[r] = weight[e] x[r] + bias[e] for the slot at place r of the plan's order, e its expert.
/// weight [experts, out, in], bias [experts, out] or none, y [slots, out] in the plan's order;
/// x [slots, in] in the plan's order, or [tokens, in], gathered while it is read.
template <class T>
struct GroupedLinear {
  static constexpr const char* name = "grouped_linear";
  Tensor<T> x, weight, bias, y;
  RoutingPlan plan;
  bool gathers;  ///< whether x is [tokens, in]

  [[nodiscard]] Index in() const { return weight.shape[2]; }
  [[nodiscard]] Index out() const { return weight.shape[1]; }
  /// The row of x that the slot at place r reads.
  [[nodiscard]] Index source(Index r) const { return gathers ? plan.order[r] / plan.chosen() : r; }
};

}  // namespace ops

/// How the rows of x lie.
enum class ExpertRows {
  tokens,  ///< x has a row for every token; each slot reads its token's
  slots    ///< x has a row for every slot, in the plan's order
};

/// Throws ShapeError unless a weight is [experts, `out`, in], with a matrix for each of the plan's experts; `out`: what
/// its extent is called.
inline void require_expert_weight(std::string_view where, std::string_view out, Index in, const Shape& weight,
                                  const RoutingPlan& plan) {
  if (weight.rank() == 3 && weight[0] == plan.experts && weight[2] == in) return;
  fail<ShapeError>(where,
                   "shape [" + std::to_string(plan.experts) + ", " + std::string(out) + ", " + std::to_string(in) + "]",
                   weight.text(), "pass a matrix for each of the plan's experts, as wide as its input");
}

/// One linear layer of every expert at once, on the tokens the plan gives it. Throws ShapeError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> grouped_linear(Ex& ex, const TensorOf<Ex>& x, const TensorOf<Ex>& weight,
                                          const TensorOf<Ex>& bias, const RoutingPlan& plan, ExpertRows rows) {
  require_memory(ex, "expert layer", weight);
  require_space(ex, "expert layer", x);
  require_rows("expert layer", x.shape);
  require_expert_weight("expert layer", "out", x.cols(), weight.shape, plan);
  if (bias.defined())
    require_shape("expert layer's bias", {plan.experts, weight.shape[1]}, bias.shape,
                  "pass one bias a row of the weight");
  const Index expected = rows == ExpertRows::tokens ? plan.tokens() : plan.slots();
  if (x.rows() != expected)
    fail<ShapeError>("expert layer", std::to_string(expected) + " rows", x.shape.text(),
                     "pass the batch that the plan was made for");
  auto y = ex.tensor({plan.slots(), weight.shape[1]}, any_wants_gradient(x, weight, bias));
  ex.run(ops::GroupedLinear<ScalarOf<Ex>>{x, weight, bias, y, plan, rows == ExpertRows::tokens});
  return y;
}

}  // namespace neuroinhib
