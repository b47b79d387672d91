#pragma once

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/core/parameters.hpp>

/// What passes from one step to the next, outside the gradient.
namespace neuroinhib {
namespace ops {

/// Copies x into the buffer, or (with decay < 1) moves the buffer towards it: buffer ← decay·buffer + (1 − decay)·x.
template <class T>
struct Remember {
  static constexpr const char* name = "remember";
  Tensor<T> x;
  Buffer<T>* buffer;
  T decay;
  Tensor<T> y;
};

/// y = a copy of the buffer as it is now: later changes to the buffer leave this step's backward pass untouched.
template <class T>
struct Recall {
  static constexpr const char* name = "recall";
  const Buffer<T>* buffer;
  Tensor<T> y;
};

}  // namespace ops

/// Stores x, read as [rows, width], without gradient.
template <Executor Ex>
void remember(Ex& ex, const TensorOf<Ex>& x, Buffer<ScalarOf<Ex>>& buffer) {
  ex.run(ops::Remember<ScalarOf<Ex>>{x.detached(), &buffer, 0, {}});
}

/// Exponential moving average; an empty buffer takes x itself.
template <Executor Ex>
void remember_average(Ex& ex, const TensorOf<Ex>& x, Buffer<ScalarOf<Ex>>& buffer, double decay) {
  ex.run(ops::Remember<ScalarOf<Ex>>{x.detached(), &buffer, static_cast<ScalarOf<Ex>>(decay), {}});
}

/// What was stored; undefined where nothing was.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> recall(Ex& ex, const Buffer<ScalarOf<Ex>>& buffer) {
  if (buffer.shape.size() == 0) return {};
  auto y = ex.tensor(buffer.shape, false);
  ex.run(ops::Recall<ScalarOf<Ex>>{&buffer, y});
  return y;
}

}  // namespace neuroinhib
