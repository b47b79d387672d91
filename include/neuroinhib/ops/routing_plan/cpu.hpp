#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/routing_plan/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cpu<T>& cpu, const TopM<T>& op) {
  const Index experts = op.scores.cols(), chosen = op.y.cols();
  cpu.parallel_for(op.scores.rows(), [&](Index token) {
    const T* scores = op.scores.data + token * experts;
    int* expert = op.expert.data + token * chosen;
    for (Index m = 0; m < chosen; ++m) {
      int best = -1;
      for (int k = 0; k < static_cast<int>(experts); ++k) {
        const bool taken = std::find(expert, expert + m, k) != expert + m;
        if (!taken && (best < 0 || scores[k] > scores[best])) best = k;
      }
      expert[m] = best;
      op.y(token, m) = scores[best];
    }
  });
}

template <class T>
void backward(Cpu<T>& cpu, const TopM<T>& op) {
  const auto dscores = op.scores.gradient_slot();
  const Index experts = op.scores.cols(), chosen = op.y.cols();
  cpu.parallel_for(op.scores.rows(), [&](Index token) {
    T* row = dscores.data + token * experts;
    if (!dscores.add) std::fill_n(row, experts, T{0});
    for (Index m = 0; m < chosen; ++m) row[op.expert(token, m)] += op.y.gradient[token * chosen + m];
  });
}

template <class T>
void forward(Cpu<T>&, const SortSlots<T>& op) {
  const RoutingPlan& plan = op.plan;
  std::fill(plan.offsets.begin(), plan.offsets.end(), 0);
  for (const int expert : plan.expert) ++plan.offsets[expert + 1];
  for (Index k = 0; k < plan.experts; ++k) plan.offsets[k + 1] += plan.offsets[k];
  // offsets[k] runs through expert k's part and ends where k + 1 begins: shifted back afterwards.
  for (Index slot = 0; slot < plan.slots(); ++slot) {
    const int place = plan.offsets[plan.expert[slot]]++;
    plan.order[place] = static_cast<int>(slot);
    plan.position[slot] = place;
  }
  std::copy_backward(plan.offsets.begin(), plan.offsets.end() - 1, plan.offsets.end());
  plan.offsets[0] = 0;
}

template <class T>
void backward(Cpu<T>&, const SortSlots<T>&) {}

}  // namespace neuroinhib::ops
