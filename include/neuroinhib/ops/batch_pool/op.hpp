#pragma once

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/count_tokens/op.hpp>
#include <neuroinhib/ops/ranked.hpp>

namespace neuroinhib {

/// How activations of one batch become a signal for another.
enum class Pooling {
  max,   ///< largest over the batch, one signal for all tokens (the paper's)
  mean,  ///< average over the batch, one signal for all tokens
  row    ///< row b conditions row b (the research code's); a longer batch starts again at row 0
};

namespace ops {

/// y from x [rows, width]: max or mean over rows, y [1, width]; or y[b] = x[b mod rows], y [tokens, width].
/// winner [width]: the row that won each column, the first of equals; NaN wins. Rows that
/// do not count give nothing: not to a maximum or mean, and zero row by row; without any that counts y is zero.
template <class T>
struct BatchPool {
  static constexpr const char* name = "batch_pool";
  Tensor<T> x, y;
  View<int> winner;
  Pooling pooling;           ///< how
  CountedTokens<T> counted;  ///< rows that count

  /// dx(row, c).
  NEUROINHIB_DEVICE [[nodiscard]] T slope(Index row, Index c) const {
    const Index rows = x.shape.rows(), width = y.shape[1];
    const T* dy = y.gradient;
    if (!counted(row)) return 0;
    if (pooling == Pooling::max) return winner[c] == row ? dy[c] : T{0};
    if (pooling == Pooling::mean) return dy[c] / counted.number(rows);
    T value = 0;
    for (Index b = row; b < y.shape[0]; b += rows) value += dy[b * width + c];
    return value;
  }
};

}  // namespace ops

/// Pools the rows of x, for a batch of `tokens` rows. Result [1, width], or [tokens, width] row by row.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> batch_pool(Ex& ex, const TensorOf<Ex>& x, Pooling pooling, Index tokens = 1,
                                      const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  require_rows("batch pool", x.shape);
  require_counted("batch pool", counted, x.rows());
  auto y = ex.tensor({pooling == Pooling::row ? tokens : 1, x.cols()}, x.wants_gradient());
  const View<int> winner = pooling == Pooling::max ? ex.integers({x.cols()}) : View<int>{};
  ex.run(ops::BatchPool<ScalarOf<Ex>>{x, y, winner, pooling, counted});
  return y;
}

}  // namespace neuroinhib
