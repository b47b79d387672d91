#pragma once

#include <string>

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/activation/op.hpp>

namespace neuroinhib {

struct ConvOptions {
  Index stride = 1;
  Index padding = 0;  ///< zeros on every side
  Activation activation = Activation::identity;  ///< applied in place; one whose slope follows from its output
};

namespace ops {

/// y = f(x ⋆ weight + bias), channels last.
/// x [images, height, width, in], weight [out, kernel_height, kernel_width, in], bias [out] or none,
/// y [images, out_height, out_width, out].
template <class T>
struct Conv2d {
  static constexpr const char* name = "conv2d";
  Tensor<T> x, weight, bias, y;
  ConvOptions options;
};

}  // namespace ops

/// Extents of a sliding window's output. Throws ShapeError where the window does not fit.
[[nodiscard]] inline Index window_positions(std::string_view where, Index extent, Index kernel, Index stride,
                                            Index padding) {
  if (kernel < 1 || stride < 1 || padding < 0)
    fail<ConfigError>(where, "kernel ≥ 1, stride ≥ 1, padding ≥ 0",
                      std::to_string(kernel) + ", " + std::to_string(stride) + ", " + std::to_string(padding),
                      "correct the layer's options");
  if (extent + 2 * padding < kernel)
    fail<ShapeError>(where, "an input of at least the window's " + std::to_string(kernel),
                     std::to_string(extent + 2 * padding), "use a smaller window or more padding");
  return (extent + 2 * padding - kernel) / stride + 1;
}

/// 2-D cross-correlation, as torch.nn.Conv2d computes it, with images stored channels last. Throws ShapeError and
/// ConfigError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> conv2d(Ex& ex, const TensorOf<Ex>& x, const TensorOf<Ex>& weight, const TensorOf<Ex>& bias,
                                  const ConvOptions& options = {}) {
  if (x.shape.rank() != 4 || x.shape[3] != weight.shape[3] || x.shape[0] == 0)
    fail<ShapeError>("conv2d", "images [count ≥ 1, height, width, " + std::to_string(weight.shape[3]) + "]",
                     x.shape.text(), "store images channels last");
  if (bias.defined()) require_shape("conv2d bias", {weight.shape[0]}, bias.shape, "one element per output channel");
  if (!derivative_from_output(options.activation))
    fail<ConfigError>("conv2d", "a fused activation among identity, relu, tanh, sigmoid", "another one",
                      "apply it with activate() afterwards");
  const Index height = window_positions("conv2d", x.shape[1], weight.shape[1], options.stride, options.padding);
  const Index width = window_positions("conv2d", x.shape[2], weight.shape[2], options.stride, options.padding);
  auto y = ex.tensor({x.shape[0], height, width, weight.shape[0]}, any_wants_gradient(x, weight, bias));
  ex.run(ops::Conv2d<ScalarOf<Ex>>{x, weight, bias, y, options});
  return y;
}

}  // namespace neuroinhib
