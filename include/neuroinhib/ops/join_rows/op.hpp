#pragma once

#include <string>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// Of each sequence: a's rows, then b's, without the first `skip` of them.
/// a [sequences · of_a, width], b [sequences · of_b, width], y [sequences · (of_a + of_b − skip), width].
template <class T>
struct JoinRows {
  static constexpr const char* name = "join rows";
  Tensor<T> a, b, y;
  Index of_a, of_b, skip;  ///< rows of a sequence in a and in b, and of those together that are left out

  /// Rows of a sequence in y.
  [[nodiscard]] NEUROINHIB_DEVICE Index of_y() const { return of_a + of_b - skip; }
  /// The element of a, or from a's size on of b, that a row of y begins with.
  [[nodiscard]] NEUROINHIB_DEVICE Index source(Index row) const {
    const Index sequence = row / of_y(), place = skip + row % of_y();
    return (place < of_a ? sequence * of_a + place : a.rows() + sequence * of_b + place - of_a) * a.cols();
  }
};

}  // namespace ops

/// The rows of each of `sequences` in a, then those in b, without the first `skip` of both together: what a sequence
/// had before and what it has now. Throws ShapeError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> join_rows(Ex& ex, const TensorOf<Ex>& a, const TensorOf<Ex>& b, Index sequences,
                                     Index skip = 0) {
  require_width("join rows", a.cols(), b.shape, "join rows of one width");
  if (sequences < 1 || a.rows() % sequences != 0 || b.rows() % sequences != 0)
    fail<ShapeError>("join rows", "whole sequences, " + std::to_string(sequences) + " in each tensor",
                     a.shape.text() + " and " + b.shape.text(), "give every sequence as many rows");
  const Index of_a = a.rows() / sequences, of_b = b.rows() / sequences;
  if (skip < 0 || skip >= of_a + of_b)
    fail<ShapeError>("join rows", "0 ≤ skip < " + std::to_string(of_a + of_b) + ", the rows of a sequence",
                     std::to_string(skip), "leave at least one row");
  const auto y = ex.tensor({sequences * (of_a + of_b - skip), a.cols()}, any_wants_gradient(a, b));
  ex.run(ops::JoinRows<ScalarOf<Ex>>{a, b, y, of_a, of_b, skip});
  return y;
}

}  // namespace neuroinhib
