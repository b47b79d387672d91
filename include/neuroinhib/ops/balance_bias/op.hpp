#pragma once

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/ops/routing_plan/op.hpp>

namespace neuroinhib {
namespace ops {

/// bias[k] += rate · sign(mean load − load of expert k), the load being the slots it got. y is undefined.
template <class T>
struct BalanceBias {
  static constexpr const char* name = "balance_bias";
  RoutingPlan plan;
  T* bias;
  T rate;
  Tensor<T> y;

  NEUROINHIB_DEVICE void update(Index k) const {
    const Index load = (plan.offsets[k + 1] - plan.offsets[k]) * plan.experts, mean = plan.offsets[plan.experts];
    bias[k] += load < mean ? rate : load > mean ? -rate : T{0};
  }
};

}  // namespace ops

/// Moves the bias of every expert towards an even load (Wang et al. 2024, "Auxiliary-loss-free load balancing").
template <Executor Ex>
void balance_bias(Ex& ex, const RoutingPlan& plan, const Buffer<ScalarOf<Ex>>& bias, double rate) {
  ex.run(ops::BalanceBias<ScalarOf<Ex>>{plan, bias.data(), static_cast<ScalarOf<Ex>>(rate), {}});
}

}  // namespace neuroinhib
