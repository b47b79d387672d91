#pragma once

#include <algorithm>
#include <cmath>

#include <neuroinhib/ops/activation/cpu.hpp>
#include <neuroinhib/ops/router_losses/scalar.hpp>
#include <neuroinhib/ops/softmax/cpu.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>&, const Importance<T>& op) {
  std::fill(op.y.begin(), op.y.end(), T{0});
  for (Index slot = 0; slot < op.plan.slots(); ++slot)
    if (op.counts(slot)) op.y[op.plan.expert[slot]] += op.gates[slot];
}

template <class T>
void backward(Cpu<T>& cpu, const Importance<T>& op) {
  const auto dgates = op.gates.claim_gradient();
  cpu.parallel_for(op.plan.slots(),
                   [&](Index slot) { dgates.put(slot, op.counts(slot) ? op.y.gradient[op.plan.expert[slot]] : T{0}); });
}

/// Calls visit(i, threshold index, standardised distance) for every token and expert, tokens in order.
template <class T, class Visit>
void for_each_load(const SmoothLoad<T>& op, const Visit& visit) {
  const Index experts = op.clean.cols();
  for (Index first = 0; first < op.clean.size(); first += experts) {
    const T* noisy = op.noisy.data + first;
    const LoadThresholds<T> thresholds(noisy, experts, op.chosen);
    for (Index k = 0; k < experts; ++k) {
      const Index at = thresholds.of(k, noisy);
      visit(first + k, first + at, (op.clean[first + k] - noisy[at]) / op.deviation(first + k));
    }
  }
}

template <class T>
void forward(Cpu<T>&, const SmoothLoad<T>& op) {
  std::fill(op.y.begin(), op.y.end(), T{0});
  for_each_load(op, [&](Index i, Index, T distance) {
    if (op.counts(i)) op.y[i % op.clean.cols()] += math::normal_cdf(distance);
  });
}

template <class T>
void backward(Cpu<T>& cpu, const SmoothLoad<T>& op) {
  const ArenaScope scope(cpu.arena());
  T* thresholds = cpu.arena().template allocate<T>(op.clean.size());
  std::fill_n(thresholds, op.clean.size(), T{0});
  const auto dclean = op.clean.claim_gradient(), dscale = op.scale.claim_gradient();
  for_each_load(op, [&](Index i, Index at, T distance) {
    const bool counts = op.counts(i);
    const T slope =
        counts ? op.y.gradient[i % op.clean.cols()] * math::normal_density(distance) / op.deviation(i) : T{0};
    if (dclean) dclean.put(i, slope);
    if (dscale) dscale.put(i, op.floored(i) || !counts ? T{0} : -slope * distance);
    thresholds[at] -= slope;
  });
  if (const auto dnoisy = op.noisy.claim_gradient())
    for (Index i = 0; i < op.noisy.size(); ++i) dnoisy.put(i, thresholds[i]);
}

template <class T>
struct Moments {
  T mean = 0, variance = 0;

  explicit Moments(const View<T>& x) {
    const T n = static_cast<T>(x.size());
    for (const T value : x) mean += value / n;
    for (const T value : x) variance += (value - mean) * (value - mean) / n;
  }
};

template <class T>
void forward(Cpu<T>&, const CvSquared<T>& op) {
  const Moments<T> m(op.x);
  op.y[0] = m.variance / (m.mean * m.mean + op.kFloor);
}

template <class T>
void backward(Cpu<T>&, const CvSquared<T>& op) {
  const Moments<T> m(op.x);
  const T floor = m.mean * m.mean + op.kFloor;
  const T factor = 2 * op.y.gradient[0] / (static_cast<T>(op.x.size()) * floor);
  const auto dx = op.x.claim_gradient();
  for (Index i = 0; i < op.x.size(); ++i) dx.put(i, factor * (op.x[i] - m.mean - op.y[0] * m.mean));
}

template <class T>
void forward(Cpu<T>& cpu, const ZLoss<T>& op) {
  const Index rows = op.logits.rows(), experts = op.logits.cols();
  const T total = sum_over_rows(cpu, rows, experts * cost::exponential, [&](Index row) {
    const T log_sum = softmax_row(op.logits.data + row * experts, op.probabilities.data + row * experts, experts);
    op.log_sums[row] = log_sum;
    return op.counted(row) ? log_sum * log_sum : T{0};
  });
  op.y[0] = total / op.counted.number(rows);
}

template <class T>
void backward(Cpu<T>& cpu, const ZLoss<T>& op) {
  const auto dlogits = op.logits.claim_gradient();
  const Index experts = op.logits.cols();
  const T factor = 2 * op.y.gradient[0] / op.counted.number(op.logits.rows());
  cpu.parallel_for(op.logits.rows(), 2 * experts, [&](Index row) {
    const bool counted = op.counted(row);
    const T slope = factor * op.log_sums[row];
    const T* p = op.probabilities.data + row * experts;
    for (Index k = 0; k < experts; ++k) dlogits.put(row * experts + k, counted ? slope * p[k] : T{0});
  });
}

template <class T>
void forward(Cpu<T>& cpu, const BalanceLoss<T>& op) {
  const Index rows = op.probabilities.rows(), experts = op.load.size();
  const T total = sum_over_rows(cpu, rows, 2 * experts, [&](Index row) {
    return op.counted(row) ? inner_product<T>(op.load.data, op.probabilities.data + row * experts, experts) : T{0};
  });
  op.y[0] = op.per_slot() * total / op.counted.number(rows);
}

template <class T>
void backward(Cpu<T>& cpu, const BalanceLoss<T>& op) {
  const auto slot = op.probabilities.claim_gradient();
  const Index experts = op.load.size();
  const T factor = op.y.gradient[0] / op.counted.number(op.probabilities.rows()) * op.per_slot();
  cpu.parallel_for(op.probabilities.rows(), experts, [&](Index row) {
    const T slope = op.counted(row) ? factor : T{0};
    for (Index k = 0; k < experts; ++k) slot.put(row * experts + k, slope * op.load[k]);
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
