#pragma once

#include <algorithm>
#include <cmath>

#include <neuroinhib/ops/activation/cpu.hpp>
#include <neuroinhib/ops/auxiliary/scalar.hpp>
#include <neuroinhib/ops/softmax/cpu.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>&, const Importance<T>& op) {
  std::fill(op.y.begin(), op.y.end(), T{0});
  for (Index slot = 0; slot < op.plan.slots(); ++slot)
    if (op.plan.expert[slot] < op.plan.experts) op.y[op.plan.expert[slot]] += op.gates[slot];
}

template <class T>
void backward(Cpu<T>& cpu, const Importance<T>& op) {
  const auto dgates = op.gates.gradient_slot();
  cpu.parallel_for(op.plan.slots(), [&](Index slot) {
    const Index expert = op.plan.expert[slot];
    dgates.put(slot, expert < op.plan.experts ? op.y.gradient[expert] : T{0});
  });
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
  for_each_load(op, [&](Index i, Index, T distance) { op.y[i % op.clean.cols()] += normal_cdf(distance); });
}

template <class T>
void backward(Cpu<T>& cpu, const SmoothLoad<T>& op) {
  const ArenaScope scope(cpu.arena());
  T* thresholds = cpu.arena().template allocate<T>(op.clean.size());
  std::fill_n(thresholds, op.clean.size(), T{0});
  const auto dclean = op.clean.gradient_slot(), dscale = op.scale.gradient_slot();
  for_each_load(op, [&](Index i, Index at, T distance) {
    const T slope = op.y.gradient[i % op.clean.cols()] * normal_density(distance) / op.deviation(i);
    if (dclean) dclean.put(i, slope);
    if (dscale) dscale.put(i, op.floored(i) ? T{0} : -slope * distance);
    thresholds[at] -= slope;
  });
  if (const auto dnoisy = op.noisy.gradient_slot())
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
  const auto dx = op.x.gradient_slot();
  for (Index i = 0; i < op.x.size(); ++i) dx.put(i, factor * (op.x[i] - m.mean - op.y[0] * m.mean));
}

template <class T>
void forward(Cpu<T>&, const ZLoss<T>& op) {
  const Index rows = op.logits.rows(), experts = op.logits.cols();
  T total = 0;
  for (Index row = 0; row < rows; ++row) {
    const T log_sum = softmax_row(op.logits.data + row * experts, op.probabilities.data + row * experts, experts);
    op.log_sums[row] = log_sum;
    total += log_sum * log_sum;
  }
  op.y[0] = total / static_cast<T>(rows);
}

template <class T>
void backward(Cpu<T>& cpu, const ZLoss<T>& op) {
  const auto dlogits = op.logits.gradient_slot();
  const Index experts = op.logits.cols();
  const T factor = 2 * op.y.gradient[0] / static_cast<T>(op.logits.rows());
  cpu.parallel_for(op.logits.size(),
                   [&](Index i) { dlogits.put(i, factor * op.log_sums[i / experts] * op.probabilities[i]); });
}

template <class T>
void forward(Cpu<T>&, const BalanceLoss<T>& op) {
  T total = 0;
  for (Index row = 0; row < op.probabilities.rows(); ++row)
    for (Index k = 0; k < op.plan.experts; ++k) total += scaled_share<T>(op.plan, k) * op.probabilities(row, k);
  op.y[0] = total / static_cast<T>(op.probabilities.rows());
}

template <class T>
void backward(Cpu<T>&, const BalanceLoss<T>& op) {
  const auto slot = op.probabilities.gradient_slot();
  const T factor = op.y.gradient[0] / static_cast<T>(op.probabilities.rows());
  for (Index i = 0; i < op.probabilities.size(); ++i)
    slot.put(i, factor * scaled_share<T>(op.plan, i % op.plan.experts));
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
