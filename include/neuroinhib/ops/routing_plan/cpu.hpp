#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/routing_plan/scalar.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const TopM<T>& op) {
  cpu.parallel_for(op.scores.rows(), 2 * op.y.cols() * op.scores.cols(), [&](Index token) {
    Ranked<T> last(T{0}, -1);
    for (Index m = 0; m < op.y.cols(); ++m) {
      last = op.next(token, last, 0, 1);
      op.choose(token, m, last.number);
    }
  });
}

/// dscores of y [tokens, chosen], which took what `expert` names.
template <class T>
void scatter_choices(Cpu<T>& cpu, const Tensor<T>& scores, const View<int>& expert, const Tensor<T>& y) {
  const auto dscores = scores.claim_gradient();
  const Index experts = scores.cols(), chosen = y.cols();
  cpu.parallel_for(scores.rows(), experts, [&](Index token) {
    T* row = dscores.data + token * experts;
    if (!dscores.add) std::fill_n(row, experts, T{0});
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot)
      if (expert[slot] < experts) row[expert[slot]] += y.gradient[slot];
  });
}

template <class T>
void backward(Cpu<T>& cpu, const TopM<T>& op) {
  scatter_choices(cpu, op.scores, op.expert, op.y);
}

template <class T>
void forward(Cpu<T>& cpu, const Nucleus<T>& op) {
  const Index chosen = op.y.cols();
  cpu.parallel_for(op.y.rows(), chosen, [&](Index token) {
    T before = 0;
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot) {
      const bool kept = before < op.p;
      before += op.values[slot];
      op.kept[slot] = kept ? op.expert[slot] : op.experts;
      op.y[slot] = kept ? op.values[slot] : T{0};
    }
  });
}

template <class T>
void backward(Cpu<T>& cpu, const Nucleus<T>& op) {
  const auto dvalues = op.values.claim_gradient();
  cpu.parallel_for(op.y.size(),
                   [&](Index slot) { dvalues.put(slot, op.kept[slot] < op.experts ? op.y.gradient[slot] : T{0}); });
}

template <class T>
void forward(Cpu<T>& cpu, const ExpertChoice<T>& op) {
  cpu.parallel_for(op.scores.rows(), op.scores.size(), [&](Index token) { choose(op, token); });
}

template <class T>
void backward(Cpu<T>& cpu, const ExpertChoice<T>& op) {
  scatter_choices(cpu, op.scores, op.expert, op.y);
}

template <class T>
void forward(Cpu<T>& cpu, const EveryExpert<T>& op) {
  cpu.parallel_for(op.y.size(), [&](Index slot) {
    op.expert[slot] = static_cast<int>(slot % op.y.cols());
    op.y[slot] = 1;
  });
}

template <class T>
void backward(Cpu<T>&, const EveryExpert<T>&) {}

template <class T>
void forward(Cpu<T>&, const SortSlots<T>& op) {
  const RoutingPlan& plan = op.plan;
  std::fill(plan.offsets.begin(), plan.offsets.end(), 0);
  for (const int expert : plan.expert)
    if (expert < plan.experts) ++plan.offsets[expert + 1];
  for (Index k = 0; k < plan.experts; ++k) plan.offsets[k + 1] += plan.offsets[k];
  // offsets[k] runs through expert k's part and ends where k + 1 begins: shifted back afterwards.
  int unused = plan.offsets[plan.experts];
  for (Index slot = 0; slot < plan.slots(); ++slot) {
    const int place = plan.expert[slot] < plan.experts ? plan.offsets[plan.expert[slot]]++ : unused++;
    plan.order[place] = static_cast<int>(slot);
    plan.position[slot] = place;
  }
  std::copy_backward(plan.offsets.begin(), plan.offsets.end() - 1, plan.offsets.end());
  plan.offsets[0] = 0;
}

template <class T>
void backward(Cpu<T>&, const SortSlots<T>&) {}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
