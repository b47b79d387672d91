#pragma once

#include <string>

#include <neuroinhib/ops/routing_plan/op.hpp>

namespace neuroinhib {
namespace ops {

/// y[r] = x of the token whose slot stands at place r of the plan's order.  x [tokens, width], y [places, width].
/// dx = Σ of the token's dy, in the order of its choices.
template <class T>
struct TakeSlots {
  static constexpr const char* name = "take_slots";
  Tensor<T> x, y;
  RoutingPlan plan;

  /// Without places there is no gradient, and dx is zero.
  [[nodiscard]] bool reached() const { return y.has_gradient() || y.size() == 0; }
};

}  // namespace ops

/// A row for each of the first `places` of a plan's order: that of its token. Throws ShapeError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> take_slots(Ex& ex, const TensorOf<Ex>& x, const RoutingPlan& plan, Index places) {
  if (x.rows() != plan.tokens() || places < 0 || places > plan.slots())
    fail<ShapeError>("take slots",
                     std::to_string(plan.tokens()) + " rows and at most " + std::to_string(plan.slots()) + " places",
                     x.shape.text() + " and " + std::to_string(places), "pass the batch that the plan was made for");
  const auto y = ex.tensor({places, x.cols()}, x.wants_gradient());
  ex.run(ops::TakeSlots<ScalarOf<Ex>>{x, y, plan});
  return y;
}

}  // namespace neuroinhib
