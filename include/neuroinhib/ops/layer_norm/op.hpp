#pragma once

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// y = (x − mean) · rstd [⊙ weight + bias], mean and variance (over n, not n − 1) of each row; Ba et al. 2016.
/// x, y [rows, width]; weight, bias [width] or none; mean, rstd [rows] are kept for the backward pass.
template <class T>
struct LayerNorm {
  static constexpr const char* name = "layer_norm";
  Tensor<T> x, weight, bias, y, mean, rstd;
  T epsilon;  ///< added to the variance
};

}  // namespace ops

/// Layer normalisation, with an affine map where weight and bias are given.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> layer_norm(Ex& ex, const TensorOf<Ex>& x, const TensorOf<Ex>& weight = {},
                                      const TensorOf<Ex>& bias = {}, double epsilon = 1e-5) {
  require_width("layer norm", weight.defined() ? weight.size() : x.cols(), x.shape,
                "make the norm with the width of its rows");
  if (weight.defined() != bias.defined())
    fail<ConfigError>("layer norm", "both weight and bias, or neither",
                      weight.defined() ? "a weight alone" : "a bias alone",
                      "pass the other, zeros for a bias or ones for a weight");
  auto mean = ex.tensor({x.rows()}, false);
  auto rstd = ex.tensor({x.rows()}, false);
  auto y = ex.tensor(x.shape, any_wants_gradient(x, weight, bias));
  ex.run(ops::LayerNorm<ScalarOf<Ex>>{x, weight, bias, y, mean, rstd, static_cast<ScalarOf<Ex>>(epsilon)});
  return y;
}

}  // namespace neuroinhib
