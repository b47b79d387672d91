#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {

/// Of max_pool2d(), and of convolutions that pool; out of range they are a ConfigError.
struct PoolOptions {
  Index kernel = 2;  ///< height and width of a window
  Index stride = 2;  ///< smaller than the kernel: windows overlap
};

namespace ops {

/// y = largest of each window, channels last.   x [images, height, width, channels];
/// winner [like y]: the window's element that won, the first of equals (row by row); dx flows there.
template <class T>
struct MaxPool2d {
  static constexpr const char* name = "max_pool2d";
  Tensor<T> x, y;
  std::uint16_t* winner;
  PoolOptions options;  ///< kernel and stride
};

/// The first of the windows that hold the pixel at `at`, along one axis.
template <class Integer>
NEUROINHIB_DEVICE [[nodiscard]] constexpr Integer first_window(Integer at, Integer kernel, Integer stride) {
  return at < kernel ? 0 : (at - kernel + stride) / stride;
}

/// Extents of the pooling of one image: in_height and in_width before, height and width after it, channels, the kernel
/// and stride of its windows.
struct PoolExtents {
  Index in_height, in_width, height, width, channels, kernel, stride;

  /// Elements of an image before pooling.
  NEUROINHIB_DEVICE [[nodiscard]] Index in_size() const { return in_height * in_width * channels; }
  /// Elements of an image after pooling.
  NEUROINHIB_DEVICE [[nodiscard]] Index out_size() const { return height * width * channels; }
};

/// Of that operation.
template <class T>
[[nodiscard]] PoolExtents pool_extents(const MaxPool2d<T>& op) {
  return {op.x.shape[1], op.x.shape[2],     op.y.shape[1],    op.y.shape[2],
          op.x.shape[3], op.options.kernel, op.options.stride};
}

}  // namespace ops

/// Extents of a sliding window's output. Throws ShapeError where the window does not fit.
[[nodiscard]] inline Index window_positions(std::string_view where, Index extent, Index kernel, Index stride,
                                            Index padding) {
  require_option(where, "kernel", kernel, kernel >= 1, "≥ 1", "1 leaves every pixel as it is");
  require_option(where, "stride", stride, stride >= 1, "≥ 1", "1 takes every position of the window");
  require_option(where, "padding", padding, padding >= 0, "≥ 0", "0 adds no border");
  if (extent + 2 * padding < kernel)
    fail<ShapeError>(where, "an input of at least the window's " + std::to_string(kernel),
                     std::to_string(extent + 2 * padding), "use a smaller window or more padding");
  return (extent + 2 * padding - kernel) / stride + 1;
}

/// Memory for the winning element of each window. Throws ConfigError for a kernel beyond 256.
template <Executor Ex>
[[nodiscard]] std::uint16_t* winners(Ex& ex, const Shape& shape, const PoolOptions& options) {
  if (options.kernel > 256)
    fail<ConfigError>("max-pooling", "a kernel of at most 256", std::to_string(options.kernel), "use a smaller window");
  return ex.backend().template kernel_memory<std::uint16_t>(shape.size());
}

/// 2-D max-pooling over square windows, without padding. NaN wins. Throws ShapeError and ConfigError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> max_pool2d(Ex& ex, const TensorOf<Ex>& x, const PoolOptions& options) {
  if (x.shape.rank() != 4 || x.shape[0] == 0)
    fail<ShapeError>("max_pool2d", "images [count ≥ 1, height, width, channels]", x.shape.text(),
                     "store images channels last");
  const Index height = window_positions("max_pool2d", x.shape[1], options.kernel, options.stride, 0);
  const Index width = window_positions("max_pool2d", x.shape[2], options.kernel, options.stride, 0);
  auto y = ex.tensor({x.shape[0], height, width, x.shape[3]}, x.wants_gradient());
  ex.run(ops::MaxPool2d<ScalarOf<Ex>>{x, y, winners(ex, y.shape, options), options});
  return y;
}

}  // namespace neuroinhib
