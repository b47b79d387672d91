#pragma once

#include <limits>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// y = x / max(Σ_row x, kFloor) for every row of numbers that are not negative.  dx = (dy − ⟨dy, y⟩) / Σ_row x, and
/// zero for a row whose sum is below the floor.
template <class T>
struct Normalise {
  static constexpr const char* name = "normalise";
  static constexpr T kFloor = std::numeric_limits<T>::min();
  Tensor<T> x, y;

  /// An element's gradient, given its rise; zero below the floor.
  NEUROINHIB_DEVICE [[nodiscard]] static T slope(T rise, T sum) { return sum < kFloor ? T{0} : rise / sum; }
  /// What a row is divided by; NaN stays.
  NEUROINHIB_DEVICE [[nodiscard]] static T divisor(T sum) { return sum < kFloor ? kFloor : sum; }  // NaN stays
};

}  // namespace ops

/// Every row divided by its sum: probabilities after TopM (Mutual-Inform SMoE, eq. 24). A row of zeros stays what it
/// is.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> normalise(Ex& ex, const TensorOf<Ex>& x) {
  require_rows("normalise", x.shape);
  auto y = ex.tensor(x.shape, x.wants_gradient());
  ex.run(ops::Normalise<ScalarOf<Ex>>{x, y});
  return y;
}

}  // namespace neuroinhib
