#pragma once

#include <neuroinhib/ops/ranked.hpp>
#include <neuroinhib/ops/router_losses/op.hpp>

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
      for (Index other = 0; other < experts; ++other) better += before(noisy, other, k);
      if (better == chosen - 1) last_chosen = k;
      if (better == chosen) first_left = k;
    }
  }
  NEUROINHIB_DEVICE [[nodiscard]] Index of(Index k, const T* noisy) const {
    return before(noisy, k, first_left) ? first_left : last_chosen;
  }

 private:
  NEUROINHIB_DEVICE static bool before(const T* noisy, Index a, Index b) {
    return Ranked<T>(noisy[a], a).before(Ranked<T>(noisy[b], b));
  }
};

}  // namespace neuroinhib::ops
