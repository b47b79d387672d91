#pragma once

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// y_i = scale · table[ids_i] + positions[first + i mod length].   table [words, width], positions [places, width] or
/// none, ids [rows], y [rows, width]. dtable[w] = scale · Σ of dy over the rows with ids w, in their order.
template <class T>
struct Embedding {
  static constexpr const char* name = "embedding";
  Tensor<T> table, positions, y;
  View<const int> ids;
  Index length, first;
  T scale;
};

}  // namespace ops

/// Rows of a table, with the position's row added where there are positions; row i is at place first + i mod length of
/// its sequence. Throws ConfigError for an id beyond the table and for a sequence longer than the position table.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> embedding(Ex& ex, const TensorOf<Ex>& table, const TensorOf<Ex>& positions,
                                     const View<const int>& ids, Index length, Index first = 0, double scale = 1) {
  require_memory(ex, "embedding", table);
  if (ids.size() == 0) fail<ShapeError>("embedding", "at least one token", "none", "skip empty batches");
  if (length < 1 || ids.size() % length != 0 || first < 0)
    fail<ShapeError>("embedding", "whole sequences of at least one token, the first at a place ≥ 0",
                     std::to_string(ids.size()) + " ids in sequences of " + std::to_string(length) + ", the first at " +
                         std::to_string(first),
                     "pass whole sequences: ids in multiples of the length");
  if (positions.defined() && first + length > positions.rows())
    fail<ConfigError>("embedding",
                      "sequences of at most " + std::to_string(positions.rows()) + " tokens, the positions",
                      std::to_string(first + length), "cut the text into shorter sequences, or make a longer table");
  auto y = ex.tensor({ids.size(), table.cols()}, any_wants_gradient(table, positions));
  ex.run(ops::Embedding<ScalarOf<Ex>>{table, positions, y, ids, length, first, static_cast<ScalarOf<Ex>>(scale)});
  return y;
}

}  // namespace neuroinhib
