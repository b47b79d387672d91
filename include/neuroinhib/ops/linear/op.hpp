#pragma once

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {

/// What the results of a linear layer, or of an attention, are for.
enum class LinearUse {
  features,
  routing  ///< decides between experts: products keep all of their scalar's bits, unless a backend is told otherwise
};

namespace ops {

/// y = x Wᵀ + b.   x [tokens, in], weight [out, in], bias [out] or none, y [tokens, out].
/// dx = dy W,  dW = dyᵀ x,  db = Σ_tokens dy.
template <class T>
struct Linear {
  static constexpr const char* name = "linear";
  Tensor<T> x, weight, bias, y;
  LinearUse use;  ///< what y is for: CUDA's precision follows it
};

}  // namespace ops

/// W x + b for every row of x; extents after the first are read as one. Throws ShapeError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> linear(Ex& ex, const TensorOf<Ex>& x, const TensorOf<Ex>& weight,
                                  const TensorOf<Ex>& bias = {}, LinearUse use = LinearUse::features) {
  require_memory(ex, "linear", weight);
  require_space(ex, "linear", x);
  require_width("linear", weight.shape[1], x.shape, "make the layer with `in` of the input's width");
  if (bias.defined()) require_shape("linear bias", {weight.shape[0]}, bias.shape, "pass one bias an output");
  auto y = ex.tensor({x.rows(), weight.shape[0]}, any_wants_gradient(x, weight, bias));
  ex.run(ops::Linear<ScalarOf<Ex>>{x, weight, bias, y, use});
  return y;
}

}  // namespace neuroinhib
