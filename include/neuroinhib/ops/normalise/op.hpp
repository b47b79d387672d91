#pragma once

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// y = x / Σ_row x for every row of positive numbers.  dx = (dy − ⟨dy, y⟩) / Σ_row x.
template <class T>
struct Normalise {
  static constexpr const char* name = "normalise";
  Tensor<T> x, y;
};

}  // namespace ops

/// Every row divided by its sum: probabilities after TopM (Mutual-Inform SMoE, eq. 24).
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> normalise(Ex& ex, const TensorOf<Ex>& x) {
  auto y = ex.tensor(x.shape, x.wants_gradient());
  ex.run(ops::Normalise<ScalarOf<Ex>>{x, y});
  return y;
}

}  // namespace neuroinhib
