#pragma once

#include <neuroinhib/nn/linear.hpp>
#include <neuroinhib/ops/activation/op.hpp>

namespace neuroinhib::nn {

/// W₂ f(W₁ x + b₁) + b₂: what an MoE layer replaces.
template <class T>
struct FeedForward {
  Linear<T> up, down;                        ///< W₁ [hidden, width] and W₂ [width, hidden]
  Activation activation = Activation::relu;  ///< f

  FeedForward() = default;
  /// Without memory, until Parameters gives it some.
  FeedForward(Index width, Index hidden, Activation kind = Activation::relu)
      : up(width, hidden), down(hidden, width), activation(kind) {}
  void visit(auto&& v) {
    v("up", up);
    v("down", down);
  }
  /// x [rows, width] → [rows, width]. Throws ShapeError.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> operator()(Ex& ex, const Tensor<T>& x) const {
    return down(ex, activate(ex, up(ex, x), activation));
  }
};

}  // namespace neuroinhib::nn
