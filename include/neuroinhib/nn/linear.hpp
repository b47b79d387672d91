#pragma once

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/ops/linear/op.hpp>

namespace neuroinhib::nn {

/// W x + b, initialised as torch.nn.Linear: both uniform within ±1/√in.
template <class T>
struct Linear {
  Parameter<T> weight;                  ///< [out, in]
  Parameter<T> bias;                    ///< [out], or none
  LinearUse use = LinearUse::features;  ///< what the result is for: CUDA's precision follows it

  Linear() = default;
  Linear(Index in, Index out, bool with_bias = true, LinearUse used_for = LinearUse::features)
      : weight({out, in}, init::fan_in_uniform(in)), use(used_for) {
    if (with_bias) bias = {{out}, init::fan_in_uniform(in)};
  }
  void visit(auto&& v) {
    v("weight", weight);
    if (bias.tensor.size() > 0) v("bias", bias);
  }
  /// x [rows, in] → [rows, out]. Throws ShapeError.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> operator()(Ex& ex, const Tensor<T>& x) const {
    const Tensor<T>& first = weight;  // what lacks memory is told of the weight, whatever order arguments are made in
    return linear(ex, x, first, bias, use);
  }
};

}  // namespace neuroinhib::nn
