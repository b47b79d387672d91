#pragma once

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// y = x / max(|x|, kFloor) for every row of x [rows, columns]; lengths [rows]: max(|x|, kFloor). A row whose squares
/// overflow is measured in units of its largest number.
/// dx = (dy − ⟨dy, y⟩ y) / |x|, and zero for a row below the floor: it has no direction.
template <class T>
struct L2Normalise {
  static constexpr const char* name = "l2_normalise";
  static constexpr T kFloor = T(1e-12);
  Tensor<T> x, lengths, y;

  /// A length, or the floor; NaN stays.
  NEUROINHIB_DEVICE [[nodiscard]] static T floored(T length) { return length < kFloor ? kFloor : length; }  // NaN stays
  /// An element's gradient, given that of a direction; zero below the floor.
  NEUROINHIB_DEVICE [[nodiscard]] static T slope(T rise, T length) { return length == kFloor ? T{0} : rise / length; }
};

}  // namespace ops

/// Every row on the unit sphere; a row of zeros stays what it is. Right for all finite numbers; infinity gives NaN.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> l2_normalise(Ex& ex, const TensorOf<Ex>& x) {
  require_rows("l2 normalise", x.shape);
  auto y = ex.tensor(x.shape, x.wants_gradient());
  ex.run(ops::L2Normalise<ScalarOf<Ex>>{x, ex.tensor({x.rows()}, false), y});
  return y;
}

}  // namespace neuroinhib
