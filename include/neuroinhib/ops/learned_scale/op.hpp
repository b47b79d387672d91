#pragma once

#include <cmath>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// y = x · exp(min(log_factor, limit)); log_factor [1].  dlog_factor = ⟨dy, y⟩ below the limit, else 0.
template <class T>
struct LearnedScale {
  static constexpr const char* name = "learned_scale";
  Tensor<T> x, log_factor, y;
  T limit;

  /// Whether the limit holds, so that log_factor gets no gradient.
  NEUROINHIB_DEVICE [[nodiscard]] bool limited() const { return log_factor[0] >= limit; }
  /// What x is multiplied with; NaN stays.
  NEUROINHIB_DEVICE [[nodiscard]] T factor() const { return std::exp(limited() ? limit : log_factor[0]); }  // NaN stays
};

}  // namespace ops

/// x times a trained positive factor, kept by its logarithm and bounded above.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> learned_scale(Ex& ex, const TensorOf<Ex>& x, const TensorOf<Ex>& log_factor, double limit) {
  require_memory(ex, "learned scale", log_factor);
  require_shape("learned scale", {1}, log_factor.shape, "pass a parameter of one number");
  auto y = ex.tensor(x.shape, any_wants_gradient(x, log_factor));
  ex.run(ops::LearnedScale<ScalarOf<Ex>>{x, log_factor, y, static_cast<ScalarOf<Ex>>(limit)});
  return y;
}

}  // namespace neuroinhib
