#pragma once

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// y = softmax of every row of x [rows, columns].  dx = y ⊙ (dy − ⟨dy, y⟩).
template <class T>
struct Softmax {
  static constexpr const char* name = "softmax";
  Tensor<T> x, y;
};

}  // namespace ops

/// Softmax over each row; extents after the first are read as one.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> softmax(Ex& ex, const TensorOf<Ex>& x) {
  require_rows("softmax", x.shape);
  auto y = ex.tensor(x.shape, x.wants_gradient());
  ex.run(ops::Softmax<ScalarOf<Ex>>{x, y});
  return y;
}

}  // namespace neuroinhib
