#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/gate/op.hpp>

namespace neuroinhib::ops {

/// A gate's terms as a kernel takes them: by value.
template <class T>
struct DeviceTerms {
  static constexpr int kMax = 16;
  struct Term {
    const T* value;
    bool for_all, inner;
  };
  Term terms[kMax]{};  // none as the stack had it: a captured step looks at every word
  int count = 0;

  /// Throws ConfigError for more terms than kMax.
  explicit DeviceTerms(const Gate<T>& op) {
    if (op.count > kMax)
      fail<ConfigError>("gate on CUDA", "at most " + std::to_string(kMax) + " terms", std::to_string(op.count),
                        "add some of them up with sum() first");
    for (Index t = 0; t < op.count; ++t)
      terms[count++] = {op.terms[t].value.data, op.terms[t].value.rows() == 1, op.inner(op.terms[t])};
  }
  /// Sum of the terms inside σ, or outside it, for one element.
  __device__ T sum(bool inner, Index row, Index column, Index width) const {
    T total = 0;
    for (int t = 0; t < count; ++t)
      if (terms[t].inner == inner) total += terms[t].value[(terms[t].for_all ? 0 : row * width) + column];
    return total;
  }
};

template <class T>
void forward(Cuda<T>& cuda, const Gate<T>& op) {
  const Index width = op.z.cols();
  const DeviceTerms<T> terms(op);
  const T* z = op.z.data;
  T *mask = op.mask.data, *y = op.y.data;
  cuda.parallel_grid(op.z.rows(), width, [=] __device__(Index row, Index column) {
    const Index i = row * width + column;
    mask[i] = math::sigmoid(terms.sum(true, row, column, width));
    y[i] = z[i] * mask[i] + terms.sum(false, row, column, width);
  });
}

template <class T>
void backward(Cuda<T>& cuda, const Gate<T>& op) {
  const Index width = op.z.cols(), rows = op.z.rows();
  const T *dy = op.y.gradient, *z = op.z.data, *mask = op.mask.data;
  if (const auto dz = op.z.claim_gradient())
    cuda.parallel_for(rows * width, [=] __device__(Index i) { dz.put(i, dy[i] * mask[i]); });
  for (Index t = 0; t < op.count; ++t) {
    const auto slot = op.terms[t].value.claim_gradient();
    if (!slot) continue;
    const bool inner = op.inner(op.terms[t]);
    const auto gradient = [=] __device__(Index i) { return inner ? dy[i] * z[i] * mask[i] * (1 - mask[i]) : dy[i]; };
    if (op.terms[t].value.rows() == rows)
      cuda.parallel_for(rows * width, [=] __device__(Index i) { slot.put(i, gradient(i)); });
    else
      cuda.sum_columns(
          rows, width, [=] __device__(Index row, Index c) { return gradient(row * width + c); },
          [=] __device__(Index c, T sum) { slot.put(c, sum); });
  }
}

}  // namespace neuroinhib::ops
