#pragma once

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/ops/conv2d/op.hpp>

namespace neuroinhib::nn {

/// Convolution over images stored channels last, initialised as torch.nn.Conv2d.
template <class T>
struct Conv2d {
  Parameter<T> weight;  ///< [out, kernel, kernel, in]
  Parameter<T> bias;    ///< [out]
  ConvOptions options;  ///< stride, padding, activation, pooling

  Conv2d() = default;
  Conv2d(Index in, Index out, Index kernel, const ConvOptions& conv_options = {})
      : weight({out, kernel, kernel, in}, init::fan_in_uniform(in * kernel * kernel)),
        bias({out}, init::fan_in_uniform(in * kernel * kernel)),
        options(conv_options) {}
  void visit(auto&& v) {
    v("weight", weight);
    v("bias", bias);
  }
  /// The convolution of images x [images, height, width, in]: [images, out height, out width, out]. Throws ShapeError.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> operator()(Ex& ex, const Tensor<T>& x) const {
    const Tensor<T>& first = weight;  // as in Linear
    return conv2d(ex, x, first, bias, options);
  }
};

}  // namespace neuroinhib::nn
