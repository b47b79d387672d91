#pragma once

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/core/parameters.hpp>

/// What passes from one step to the next, outside the gradient.
namespace neuroinhib {
namespace ops {

/// Copies x into the state, or (with decay > 0) moves the state towards it: state ← decay·state + (1 − decay)·x.
template <class T>
struct Remember {
  static constexpr const char* name = "remember";
  Tensor<T> x;
  ModuleState<T>* state;
  T decay;
  Tensor<T> y;  ///< undefined
};

/// y = a copy of the state as it is now: later changes to the state leave this step's backward pass untouched.
template <class T>
struct Recall {
  static constexpr const char* name = "recall";
  const ModuleState<T>* state;
  Tensor<T> y;
};

}  // namespace ops

/// Stores x, read as [rows, width], without gradient.
template <Executor Ex>
void remember(Ex& ex, const TensorOf<Ex>& x, const Buffer<ScalarOf<Ex>>& buffer) {
  ex.run(ops::Remember<ScalarOf<Ex>>{x.detached(), &buffer.state(), 0, {}});
}

/// Exponential moving average; an empty buffer takes x itself. Throws ShapeError where x has other extents than before.
template <Executor Ex>
void remember_average(Ex& ex, const TensorOf<Ex>& x, const Buffer<ScalarOf<Ex>>& buffer, double decay) {
  if (const Shape& before = buffer.shape(); before.size() > 0)
    require_shape("moving average", before, {x.rows(), x.cols()}, "average what has one shape in every step");
  ex.run(ops::Remember<ScalarOf<Ex>>{x.detached(), &buffer.state(), static_cast<ScalarOf<Ex>>(decay), {}});
}

/// What was stored; undefined where nothing was.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> recall(Ex& ex, const Buffer<ScalarOf<Ex>>& buffer) {
  const ModuleState<ScalarOf<Ex>>& state = buffer.state();
  if (state.shape.size() == 0) return {};
  auto y = ex.tensor(state.shape, false);
  ex.run(ops::Recall<ScalarOf<Ex>>{&state, y});
  return y;
}

}  // namespace neuroinhib
