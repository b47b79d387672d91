#pragma once

#include <neuroinhib/ops/routing_plan/op.hpp>

/// Parts of routing, for the kernels of every backend.
namespace neuroinhib::ops {

/// Whether expert k takes the token: fewer than `capacity` of its window score better.
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] bool takes(const ExpertChoice<T>& op, Index token, Index k) {
  const Index experts = op.scores.shape[1], first = token / op.length * op.length;
  const auto ranked = [&](Index row) { return Ranked<T>(op.scores[row * experts + k], row); };
  Index better = 0;
  if (!op.counted(token)) return false;
  for (Index other = first; other < first + op.length; ++other)
    better += op.counted(other) && ranked(other).before(ranked(token));
  return better < op.capacity;
}

/// The token's slots, one after another: each the best expert after the one before.
template <class T>
NEUROINHIB_DEVICE void choose(const ExpertChoice<T>& op, Index token) {
  const Index experts = op.scores.shape[1], chosen = op.y.shape[1];
  const T* scores = op.scores.data + token * experts;
  const auto before = [=](Index a, Index b) { return Ranked<T>(scores[a], a).before(Ranked<T>(scores[b], b)); };
  Index last = -1;
  for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot) {
    Index best = -1;
    for (Index k = 0; k < experts; ++k) {
      const bool after = last < 0 || before(last, k);
      if (after && (best < 0 || before(k, best)) && takes(op, token, k)) best = k;
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
