#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/activation/op.hpp>
#include <neuroinhib/ops/max_pool2d/op.hpp>

namespace neuroinhib {

/// Of conv2d() and nn::Conv2d; out of range they are a ConfigError.
struct ConvOptions {
  Index stride = 1;                              ///< pixels from one window to the next, in both directions
  Index padding = 0;                             ///< zeros on every side
  Activation activation = Activation::identity;  ///< applied in place; a rising one whose slope follows from its output
  PoolOptions pool = {.kernel = 1, .stride = 1};  ///< max-pooling of the result, which then is never stored itself
};

namespace ops {

/// y = pool(f(x ⋆ weight + bias)), channels last.
/// x [images, height, width, in], weight [out, kernel_height, kernel_width, in], bias [out] or none,
/// y [images, out_height, out_width, out]; winner [like y] where it pools, as in MaxPool2d.
/// f rises, so that max and f commute: f's slope is read off the pooled output.
template <class T>
struct Conv2d {
  static constexpr const char* name = "conv2d";
  Tensor<T> x, weight, bias, y;
  std::uint16_t* winner;
  ConvOptions options;        ///< stride, padding, activation, pooling
  std::byte* kept = nullptr;  ///< kept_for_backward()

  [[nodiscard]] bool pools() const { return options.pool.kernel > 1 || options.pool.stride > 1; }
};

/// All extents of one convolution, in elements; height and width are those before pooling, `in` and `out` are channels,
/// images, in_height, in_width, kernel_height, kernel_width, stride and padding as given.
struct ConvExtents {
  Index images, in_height, in_width, in, kernel_height, kernel_width, out, stride, padding, height, width;
  PoolExtents pool;  ///< of the pooling that follows

  /// Of that operation.
  template <class T>
  explicit ConvExtents(const Conv2d<T>& op)
      : images(op.x.shape[0]),
        in_height(op.x.shape[1]),
        in_width(op.x.shape[2]),
        in(op.x.shape[3]),
        kernel_height(op.weight.shape[1]),
        kernel_width(op.weight.shape[2]),
        out(op.weight.shape[0]),
        stride(op.options.stride),
        padding(op.options.padding),
        height((padded_height() - kernel_height) / stride + 1),
        width((padded_width() - kernel_width) / stride + 1),
        pool{height, width, op.y.shape[1], op.y.shape[2], out, op.options.pool.kernel, op.options.pool.stride} {}

  /// Of an image with its padding.
  [[nodiscard]] Index padded_height() const { return in_height + 2 * padding; }
  /// Of an image with its padding.
  [[nodiscard]] Index padded_width() const { return in_width + 2 * padding; }
  /// Of an image's result, before pooling.
  [[nodiscard]] Index pixels() const { return height * width; }
  /// Elements of an image's result, before pooling.
  [[nodiscard]] Index result_size() const { return pixels() * out; }
  /// Elements of a window that lie side by side.
  [[nodiscard]] Index run() const { return kernel_width * in; }
  /// Elements of a window.
  [[nodiscard]] Index window() const { return kernel_height * run(); }
  /// Elements of an image.
  NEUROINHIB_DEVICE [[nodiscard]] Index image_size() const { return in_height * in_width * in; }
  /// Elements of an image with its padding; 0 without any.
  [[nodiscard]] Index padded_size() const { return padding > 0 ? padded_height() * padded_width() * in : 0; }
};

/// Step memory that a backend's forward pass leaves to its backward pass; none where the backend does not overload
/// this.
template <class B, class T>
[[nodiscard]] std::byte* kept_for_backward(B&, const Conv2d<T>&) {
  return nullptr;
}

}  // namespace ops

/// 2-D cross-correlation, as torch.nn.Conv2d computes it, with images stored channels last; activation and pooling
/// image by image while it is in the cache. Throws ShapeError and
/// ConfigError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> conv2d(Ex& ex, const TensorOf<Ex>& x, const TensorOf<Ex>& weight, const TensorOf<Ex>& bias,
                                  const ConvOptions& options = {}) {
  require_memory(ex, "conv2d", weight);
  require_space(ex, "conv2d", x);
  if (x.shape.rank() != 4 || x.shape[3] != weight.shape[3] || x.shape[0] == 0)
    fail<ShapeError>("conv2d", "images [count ≥ 1, height, width, " + std::to_string(weight.shape[3]) + "]",
                     x.shape.text(), "store images channels last, with as many channels as the weight reads");
  if (bias.defined()) require_shape("conv2d bias", {weight.shape[0]}, bias.shape, "pass one bias an output channel");
  if (!derivative_from_output(options.activation))
    fail<ConfigError>("conv2d", "a fused activation among identity, relu, tanh, sigmoid", text_of(options.activation),
                      "apply it with activate() afterwards");
  const Index height = window_positions("conv2d", x.shape[1], weight.shape[1], options.stride, options.padding);
  const Index width = window_positions("conv2d", x.shape[2], weight.shape[2], options.stride, options.padding);
  const PoolOptions& pool = options.pool;
  auto y = ex.tensor({x.shape[0], window_positions("conv2d's pool", height, pool.kernel, pool.stride, 0),
                      window_positions("conv2d's pool", width, pool.kernel, pool.stride, 0), weight.shape[0]},
                     any_wants_gradient(x, weight, bias));
  ops::Conv2d<ScalarOf<Ex>> op{x, weight, bias, y, nullptr, options};
  if (op.pools()) op.winner = winners(ex, y.shape, pool);
  if (y.wants_gradient()) op.kept = kept_for_backward(ex.backend(), op);
  ex.run(op);
  return y;
}

}  // namespace neuroinhib
