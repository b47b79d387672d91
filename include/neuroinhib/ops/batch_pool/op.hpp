#pragma once

#include <limits>
#include <string>

#include <neuroinhib/ops/count_tokens/op.hpp>
#include <neuroinhib/ops/map/op.hpp>
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
/// do not count give nothing: not to a maximum or mean, and zero row by row; without any that counts a maximum is
/// `nothing`. A mean is divided by the rows of all ranks.
template <class T>
struct BatchPool {
  static constexpr const char* name = "batch_pool";
  Tensor<T> x, y;
  View<int> winner;
  Pooling pooling;           ///< how
  CountedTokens<T> counted;  ///< rows that count
  T nothing = 0;             ///< a maximum of no rows

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

/// The maximum of no rows.
template <class T>
inline constexpr T kMaximumOfNothing = -std::numeric_limits<T>::infinity();

/// 0 in the place of the maximum of no rows.
struct ZeroForNothing {
  static constexpr const char* name = "zero_for_nothing";
  template <class T>
  NEUROINHIB_DEVICE T operator()(T x) const {
    return x == kMaximumOfNothing<T> ? T{0} : x;
  }
  template <class T>
  NEUROINHIB_DEVICE T derivative(T) const {
    return 1;
  }
};

}  // namespace ops

/// Pools the rows of x, for a batch of `tokens` rows. Result [1, width], of all ranks' rows, or [tokens, width] row by
/// row, of this rank's.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> batch_pool(Ex& ex, const TensorOf<Ex>& x, Pooling pooling, Index tokens = 1,
                                      const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  require_rows("batch pool", x.shape);
  if (!alone(ex) && pooling == Pooling::row && x.rows() != tokens)
    fail<ShapeError>("row-by-row pool on several ranks", std::to_string(tokens) + " rows", x.shape.text(),
                     "give every rank batches of one size, or pool by maximum or mean");
  auto y = ex.tensor({pooling == Pooling::row ? tokens : 1, x.cols()}, x.wants_gradient());
  const View<int> winner = pooling == Pooling::max ? ex.integers({x.cols()}) : View<int>{};
  using T = ScalarOf<Ex>;
  const T nothing = alone(ex) ? T{0} : ops::kMaximumOfNothing<T>;
  ex.run(ops::BatchPool<T>{x, y, winner, pooling, detail::counted_of(ex, "batch pool", counted, x.rows()), nothing});
  if constexpr (!kAlone<Ex>) {
    if (alone(ex)) return y;
    if (pooling == Pooling::mean) return all_reduce(ex, y);
    if (pooling == Pooling::max) return map(ex, ops::ZeroForNothing{}, all_reduce(ex, y, Reduction::max));
  }
  return y;
}

}  // namespace neuroinhib
