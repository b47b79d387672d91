#pragma once

#include <neuroinhib/ops/auxiliary/op.hpp>

/// Parts of the auxiliary losses, for the kernels of every backend.
namespace neuroinhib::ops {

/// The expert whose noisy score is the threshold of expert k: the last but one or the last of the M + 1 best.
template <class T>
struct LoadThresholds {
  Index last_chosen = -1;  ///< the M-th best
  Index first_left = -1;   ///< the (M + 1)-th best

  NEUROINHIB_DEVICE LoadThresholds(const T* noisy, Index experts, Index chosen) {
    for (Index k = 0; k < experts; ++k) {
      Index better = 0;
      for (Index other = 0; other < experts; ++other)
        better += noisy[other] > noisy[k] || (noisy[other] == noisy[k] && other < k);
      if (better == chosen - 1) last_chosen = k;
      if (better == chosen) first_left = k;
    }
  }
  NEUROINHIB_DEVICE [[nodiscard]] Index of(Index k, const T* noisy) const {
    const bool among_best = noisy[k] > noisy[first_left] || (noisy[k] == noisy[first_left] && k < first_left);
    return among_best ? first_left : last_chosen;
  }
};

/// Share of the plan's served slots that expert k got, times K.
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] T scaled_share(const RoutingPlan& plan, Index k) {
  return static_cast<T>((plan.offsets[k + 1] - plan.offsets[k]) * plan.experts) /
         static_cast<T>(plan.offsets[plan.experts]);
}

}  // namespace neuroinhib::ops
