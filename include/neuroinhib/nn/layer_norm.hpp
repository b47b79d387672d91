#pragma once

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/ops/layer_norm/op.hpp>

namespace neuroinhib::nn {

/// Layer normalisation with a trained affine map, initialised to the identity.
template <class T>
struct LayerNorm {
  Parameter<T> weight;    ///< [width]
  Parameter<T> bias;      ///< [width]
  double epsilon = 1e-5;  ///< added to the variance

  LayerNorm() = default;
  /// Without memory, until Parameters gives it some.
  explicit LayerNorm(Index width) : weight({width}, init::ones()), bias({width}, init::zeros()) {}
  void visit(auto&& v) {
    v("weight", weight);
    v("bias", bias);
  }
  /// x [rows, width] → [rows, width]. Throws ShapeError.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> operator()(Ex& ex, const Tensor<T>& x) const {
    const Tensor<T>& first = weight;  // as in Linear
    return layer_norm<Ex>(ex, x, first, bias, epsilon);
  }
};

}  // namespace neuroinhib::nn
