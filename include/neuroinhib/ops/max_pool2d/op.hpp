#pragma once

#include <cstdint>

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/conv2d/op.hpp>

namespace neuroinhib {

struct PoolOptions {
  Index kernel = 2;
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
  PoolOptions options;
};

}  // namespace ops

/// 2-D max-pooling over square windows, without padding. NaN wins. Throws ShapeError and ConfigError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> max_pool2d(Ex& ex, const TensorOf<Ex>& x, const PoolOptions& options) {
  if (x.shape.rank() != 4 || x.shape[0] == 0)
    fail<ShapeError>("max_pool2d", "images [count ≥ 1, height, width, channels]", x.shape.text(),
                     "store images channels last");
  if (options.kernel > 256)
    fail<ConfigError>("max_pool2d", "a kernel of at most 256", std::to_string(options.kernel), "use a smaller window");
  const Index height = window_positions("max_pool2d", x.shape[1], options.kernel, options.stride, 0);
  const Index width = window_positions("max_pool2d", x.shape[2], options.kernel, options.stride, 0);
  auto y = ex.tensor({x.shape[0], height, width, x.shape[3]}, x.wants_gradient());
  auto* winner = ex.backend().arena().template allocate<std::uint16_t>(y.size());
  ex.run(ops::MaxPool2d<ScalarOf<Ex>>{x, y, winner, options});
  return y;
}

}  // namespace neuroinhib
