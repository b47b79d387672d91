#pragma once

#include <string>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// y_i = x_{first + i · step}.   x [rows, width], y [rows / step, width]; dx of the rows between is zero.
template <class T>
struct StridedRows {
  static constexpr const char* name = "strided rows";
  Tensor<T> x, y;
  Index step, first;  ///< rows from one to the next, and of the first
};

}  // namespace ops

/// Every step-th row of x, from row `first` on, such as the class token of each image. Throws ShapeError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> strided_rows(Ex& ex, const TensorOf<Ex>& x, Index step, Index first = 0) {
  if (step < 1 || first < 0 || first >= step || x.rows() == 0 || x.rows() % step != 0)
    fail<ShapeError>("strided rows", "0 ≤ first < step, which divides the " + std::to_string(x.rows()) + " rows",
                     "step " + std::to_string(step) + ", first " + std::to_string(first),
                     "give the rows of a sequence as the step");
  auto y = ex.tensor({x.rows() / step, x.cols()}, x.wants_gradient());
  ex.run(ops::StridedRows<ScalarOf<Ex>>{x, y, step, first});
  return y;
}

}  // namespace neuroinhib
