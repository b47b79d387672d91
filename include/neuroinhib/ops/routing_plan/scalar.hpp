#pragma once

#include <neuroinhib/ops/routing_plan/op.hpp>

/// Parts of routing, for the kernels of every backend.
namespace neuroinhib::ops {

/// Whether expert k takes the token: fewer than `capacity` of its window score better.
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] bool takes(const ExpertChoice<T>& op, Index token, Index k) {
  const Index experts = op.scores.shape[1], first = token / op.length * op.length;
  const T score = op.scores[token * experts + k];
  Index better = 0;
  for (Index other = first; other < first + op.length; ++other) {
    const T value = op.scores[other * experts + k];
    better += value > score || (value == score && other < token);
  }
  return better < op.capacity;
}

/// The token's slots, one after another: each the best expert after the one before.
template <class T>
NEUROINHIB_DEVICE void choose(const ExpertChoice<T>& op, Index token) {
  const Index experts = op.scores.shape[1], chosen = op.y.shape[1];
  const T* scores = op.scores.data + token * experts;
  Index last = -1;
  for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot) {
    Index best = -1;
    for (Index k = 0; k < experts; ++k) {
      const bool after = last < 0 || scores[k] < scores[last] || (scores[k] == scores[last] && k > last);
      if (after && (best < 0 || scores[k] > scores[best]) && takes(op, token, k)) best = k;
    }
    op.expert[slot] = static_cast<int>(best < 0 ? experts : best);
    op.y[slot] = best < 0 ? T{0} : scores[best];
    last = best;
    if (best >= 0) continue;
    for (Index rest = slot + 1; rest < (token + 1) * chosen; ++rest) {
      op.expert[rest] = static_cast<int>(experts);
      op.y[rest] = 0;
    }
    return;
  }
}

}  // namespace neuroinhib::ops
