#pragma once

#include <string>
#include <string_view>

#include <neuroinhib/parallel/communicator.hpp>

namespace neuroinhib {
namespace ops {

/// y = x ⊙ kept / (1 − p), kept ~ Bernoulli(1 − p), drawn again from the counter in the backward pass. Any shape.
template <class T>
struct Dropout {
  static constexpr const char* name = "dropout";
  Tensor<T> x, y;
  T p;
  RandomStream random;       ///< what is kept
  View<const int> number{};  ///< [rows] of x: row r draws what row number[r] would; none: each draws its own

  /// Rows that draw one after another.
  [[nodiscard]] Index rows() const { return number.data != nullptr ? x.rows() : 1; }
  /// Where row r of rows() begins in the stream.
  NEUROINHIB_DEVICE [[nodiscard]] Index first(Index r, Index width) const {
    return random.first + (number.data != nullptr ? number[r] * width : 0);
  }
};

/// y = x + noise ⊙ scale, noise ~ N(0, 1); x, scale and y of one shape.
template <class T>
struct AddNoise {
  static constexpr const char* name = "add_noise";
  Tensor<T> x, scale, y;
  RandomStream random;  ///< the noise
};

}  // namespace ops

/// Throws ConfigError unless 0 ≤ p < 1.
inline void require_dropout(std::string_view where, double p) {
  require_option(where, "p", p, p >= 0 && p < 1, "in [0, 1)", "p is the share that is dropped");
}

/// Dropout with inverted scaling (Srivastava et al. 2014); the identity unless training. Rows that do not lie in the
/// order of the batch, such as those of a plan's slots, say with `number` which ones they are, so that what a token
/// drops does not depend on where the others are. Throws ConfigError unless 0 ≤ p < 1, ShapeError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> dropout(Ex& ex, const TensorOf<Ex>& x, double p, const View<const int>& number = {}) {
  require_dropout("dropout", p);
  if (number.data != nullptr && number.size() != x.rows())
    fail<ShapeError>("dropout", "a number for each of " + std::to_string(x.rows()) + " rows", number.shape.text(),
                     "pass the order of the plan that the rows are of");
  if (!ex.training() || p == 0) return x;
  auto y = ex.tensor(x.shape, x.wants_gradient());
  ex.run(ops::Dropout<ScalarOf<Ex>>{x, y, static_cast<ScalarOf<Ex>>(p), random_stream(ex, x.size()), number});
  return y;
}

/// Gaussian noise of the given deviation per element; x itself unless training.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> add_noise(Ex& ex, const TensorOf<Ex>& x, const TensorOf<Ex>& scale) {
  require_shape("noise scale", x.shape, scale.shape, "pass one deviation an element");
  if (!ex.training()) return x;
  auto y = ex.tensor(x.shape, any_wants_gradient(x, scale));
  ex.run(ops::AddNoise<ScalarOf<Ex>>{x, scale, y, random_stream(ex, x.size())});
  return y;
}

}  // namespace neuroinhib
