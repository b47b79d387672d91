#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/router_losses/scalar.hpp>
#include <neuroinhib/ops/softmax/cuda.cuh>

namespace neuroinhib::ops {

template <class T>
void forward(Cuda<T>& cuda, const Importance<T>& op) {
  const RoutingPlan plan = op.plan;
  cuda.parallel_rows(plan.experts, 1, [=] __device__(Index expert, const detail::Team<T>& team) {
    T sum = 0;
    for (int r = plan.offsets[expert] + team.lane; r < plan.offsets[expert + 1]; r += team.size)
      if (op.counts(plan.order[r])) sum += op.gates[plan.order[r]];
    sum = team.sum(sum);
    if (team.lane == 0) op.y[expert] = sum;
  });
}

template <class T>
void backward(Cuda<T>& cuda, const Importance<T>& op) {
  const auto dgates = op.gates.claim_gradient();
  cuda.parallel_for(op.plan.slots(), [=] __device__(Index slot) {
    dgates.put(slot, op.counts(slot) ? op.y.gradient[op.plan.expert[slot]] : T{0});
  });
}

/// visit(i, threshold index, standardised distance) for every token and expert.
template <class T, class Visit>
void for_each_load(Cuda<T>& cuda, const SmoothLoad<T>& op, const Visit& visit) {
  const Index experts = op.clean.cols();
  cuda.parallel_grid(op.clean.rows(), experts, [=] __device__(Index token, Index k) {
    const Index first = token * experts, i = first + k;
    const T* noisy = op.noisy.data + first;
    const Index at = LoadThresholds<T>(noisy, experts, op.chosen).of(k, noisy);
    visit(i, at, (op.clean[i] - noisy[at]) / op.deviation(i));
  });
}

template <class T>
void forward(Cuda<T>& cuda, const SmoothLoad<T>& op) {
  const Index experts = op.clean.cols();
  const ArenaScope scope(cuda.device_arena());
  T* shares = cuda.template kernel_memory<T>(op.clean.size());
  for_each_load(cuda, op, [=] __device__(Index i, Index, T distance) {
    shares[i] = op.counts(i) ? math::normal_cdf(distance) : T{0};
  });
  cuda.sum_columns(
      op.clean.rows(), experts, [=] __device__(Index token, Index k) { return shares[token * experts + k]; },
      [=] __device__(Index k, T sum) { op.y[k] = sum; });
}

template <class T>
void backward(Cuda<T>& cuda, const SmoothLoad<T>& op) {
  const Index experts = op.clean.cols();
  const ArenaScope scope(cuda.device_arena());
  T* slopes = cuda.template kernel_memory<T>(op.clean.size());
  int* thresholds = cuda.template kernel_memory<int>(op.clean.size());
  const auto dclean = op.clean.claim_gradient(), dscale = op.scale.claim_gradient();
  for_each_load(cuda, op, [=] __device__(Index i, Index at, T distance) {
    const bool counts = op.counts(i);
    const T slope = counts ? op.y.gradient[i % experts] * math::normal_density(distance) / op.deviation(i) : T{0};
    if (dclean) dclean.put(i, slope);
    if (dscale) dscale.put(i, op.floored(i) || !counts ? T{0} : -slope * distance);
    slopes[i] = slope;
    thresholds[i] = static_cast<int>(at);
  });
  if (const auto dnoisy = op.noisy.claim_gradient())
    cuda.parallel_grid(op.noisy.rows(), experts, [=] __device__(Index token, Index k) {
      const Index first = token * experts;
      T sum = 0;
      for (Index other = first; other < first + experts; ++other)
        if (thresholds[other] == k) sum -= slopes[other];
      dnoisy.put(first + k, sum);
    });
}

/// Mean and variance of a vector, by one team.
template <class T>
struct TeamMoments {
  T mean, variance;

  __device__ TeamMoments(const View<T>& x, const detail::Team<T>& team) {
    const Index count = x.size();
    const T n = static_cast<T>(count);
    T sum = 0, squares = 0;
    for (Index i = team.lane; i < count; i += team.size) sum += x[i];
    mean = team.sum(sum) / n;
    for (Index i = team.lane; i < count; i += team.size) squares += (x[i] - mean) * (x[i] - mean);
    variance = team.sum(squares) / n;
  }
};

template <class T>
void forward(Cuda<T>& cuda, const CvSquared<T>& op) {
  cuda.parallel_rows(1, 1, [=] __device__(Index, const detail::Team<T>& team) {
    const TeamMoments<T> m(op.x, team);
    if (team.lane == 0) op.y[0] = m.variance / (m.mean * m.mean + CvSquared<T>::kFloor);
  });
}

template <class T>
void backward(Cuda<T>& cuda, const CvSquared<T>& op) {
  const auto dx = op.x.claim_gradient();
  cuda.parallel_rows(1, 1, [=] __device__(Index, const detail::Team<T>& team) {
    const TeamMoments<T> m(op.x, team);
    const Index count = op.x.size();
    const T floor = m.mean * m.mean + CvSquared<T>::kFloor;
    const T factor = 2 * op.y.gradient[0] / (static_cast<T>(count) * floor);
    for (Index i = team.lane; i < count; i += team.size) dx.put(i, factor * (op.x[i] - m.mean - op.y[0] * m.mean));
  });
}

template <class T>
void forward(Cuda<T>& cuda, const ZLoss<T>& op) {
  const Index rows = op.logits.rows(), experts = op.logits.cols();
  cuda.parallel_rows(rows, experts, [=] __device__(Index row, const detail::Team<T>& team) {
    const T log_sum = softmax_row(op.logits.data + row * experts, op.probabilities.data + row * experts, experts, team);
    if (team.lane == 0) op.log_sums[row] = log_sum;
  });
  cuda.sum_columns(
      rows, 1,
      [=] __device__(Index row, Index) { return op.counted(row) ? op.log_sums[row] * op.log_sums[row] : T{0}; },
      [=] __device__(Index, T sum) { op.y[0] = sum / op.counted.number(rows); });
}

template <class T>
void backward(Cuda<T>& cuda, const ZLoss<T>& op) {
  const auto dlogits = op.logits.claim_gradient();
  const Index rows = op.logits.rows(), experts = op.logits.cols();
  cuda.parallel_grid(rows, experts, [=] __device__(Index row, Index k) {
    const T factor = 2 * op.y.gradient[0] / op.counted.number(rows);
    dlogits.put(row * experts + k,
                op.counted(row) ? factor * op.log_sums[row] * op.probabilities[row * experts + k] : T{0});
  });
}

template <class T>
void forward(Cuda<T>& cuda, const BalanceLoss<T>& op) {
  const Index rows = op.probabilities.rows(), experts = op.load.size();
  cuda.sum_columns(
      rows, 1,
      [=] __device__(Index row, Index) {
        T sum = 0;
        if (!op.counted(row)) return sum;
        for (Index k = 0; k < experts; ++k) sum += op.load[k] * op.probabilities[row * experts + k];
        return op.per_slot() * sum;
      },
      [=] __device__(Index, T sum) { op.y[0] = sum / op.counted.number(rows); });
}

template <class T>
void backward(Cuda<T>& cuda, const BalanceLoss<T>& op) {
  const auto slot = op.probabilities.claim_gradient();
  const Index rows = op.probabilities.rows(), experts = op.load.size();
  cuda.parallel_grid(rows, experts, [=] __device__(Index row, Index k) {
    const T slope = op.y.gradient[0] / op.counted.number(rows) * op.per_slot() * op.load[k];
    slot.put(row * experts + k, op.counted(row) ? slope : T{0});
  });
}

}  // namespace neuroinhib::ops
