#pragma once

#include <algorithm>
#include <string>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// The pixels of square patches of `size` × `size` pixels of images stored channels last, row by row of patches;
/// `leading` rows of zeros stand before each image's patches. x [images, height, width, channels], y [images · (leading
/// + patches), size² · channels]. Every pixel is in one patch: dx is dy in the pixels' order.
template <class T>
struct Patches {
  static constexpr const char* name = "patches";
  Tensor<T> x, y;
  Index size;     ///< a patch's side, in pixels
  Index leading;  ///< rows of zeros before each image's patches
};

/// Where the elements of patches lie in the images: `columns` of the `patches` of an image lie side by side, image_size
/// is in elements; width, channels, size and leading are the operation's.
struct PatchPlaces {
  Index width, channels, size, leading, columns, patches, image_size;

  /// Of that operation.
  template <class T>
  explicit PatchPlaces(const Patches<T>& op)
      : width(op.x.shape[2]),
        channels(op.x.shape[3]),
        size(op.size),
        leading(op.leading),
        columns(width / size),
        patches(op.x.shape[1] / size * columns),
        image_size(op.x.cols()) {}

  /// The pixel of y's element c of that row; below zero for rows of zeros.
  NEUROINHIB_DEVICE [[nodiscard]] Index source(Index row, Index c) const {
    const Index tokens = leading + patches, patch = row % tokens - leading;
    if (patch < 0) return -1;
    const Index run = size * channels, y = patch / columns * size + c / run;
    return row / tokens * image_size + (y * width + patch % columns * size) * channels + c % run;
  }
};

}  // namespace ops

/// Images as rows of patches for a transformer, with `leading` rows of zeros before each image's, in whose place a
/// class token stands. Throws ShapeError unless the images are whole patches.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> patches(Ex& ex, const TensorOf<Ex>& x, Index size, Index leading = 0) {
  require_option("patches", "size", size, size >= 1, "≥ 1", "1 makes every pixel a token");
  require_option("patches", "leading", leading, leading >= 0, "≥ 0", "1 makes room for a class token");
  if (x.shape.rank() != 4 || x.size() == 0 || x.shape[1] % size != 0 || x.shape[2] % size != 0)
    fail<ShapeError>("patches",
                     "images [count ≥ 1, height, width, channels] whose sides are multiples of " + std::to_string(size),
                     x.shape.text(), "choose a patch that divides both sides, or crop the images");
  const Index tokens = leading + x.shape[1] / size * (x.shape[2] / size);
  auto y = ex.tensor({x.shape[0] * tokens, size * size * x.shape[3]}, x.wants_gradient());
  ex.run(ops::Patches<ScalarOf<Ex>>{x, y, size, leading});
  return y;
}

}  // namespace neuroinhib
