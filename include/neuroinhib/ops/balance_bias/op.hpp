#pragma once

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/ops/expert_load/op.hpp>

namespace neuroinhib {
namespace ops {

/// bias[k] += rate · sign(mean load − load[k]); load [experts]: the slots each got. y is undefined.
template <class T>
struct BalanceBias {
  static constexpr const char* name = "balance_bias";
  Tensor<T> load;
  T* bias;
  T rate;
  Tensor<T> y;

  /// The rule for expert k.
  NEUROINHIB_DEVICE void update(Index k) const {
    double total = 0;
    for (Index other = 0; other < load.size(); ++other) total += static_cast<double>(load[other]);
    const double scaled = static_cast<double>(load[k]) * static_cast<double>(load.size());
    bias[k] += scaled < total ? rate : scaled > total ? -rate : T{0};
  }
};

}  // namespace ops

/// Moves the bias of every expert towards an even load (Wang et al. 2024, "Auxiliary-loss-free load balancing").
template <Executor Ex>
void balance_bias(Ex& ex, const RoutingPlan& plan, const Buffer<ScalarOf<Ex>>& bias, double rate,
                  const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  ex.run(
      ops::BalanceBias<ScalarOf<Ex>>{expert_load(ex, plan, counted), bias.data(), static_cast<ScalarOf<Ex>>(rate), {}});
}

}  // namespace neuroinhib
