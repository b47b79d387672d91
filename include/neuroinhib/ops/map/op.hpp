#pragma once

#include <algorithm>
#include <concepts>
#include <string>
#include <type_traits>

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/map/math.hpp>

namespace neuroinhib {

/// ∂f/∂x₀, ∂f/∂x₁, … of a function of several numbers: `return Partials{y, x};`.
template <class T, int N>
struct Partials {
  T value[N];  ///< of each input, in their order
};
template <class... T>
Partials(T...) -> Partials<std::common_type_t<T...>, static_cast<int>(sizeof...(T))>;

namespace ops {

/// Rows and columns that an elementwise operation runs over. One row stands for any shape read as a line.
struct Grid {
  Index rows, columns;  ///< of y

  /// Where an element lies.
  struct Place {
    Index row, column;  ///< from 0
  };
  /// Where element i lies. 32 bits where they suffice: a GPU divides 64 several times slower.
  NEUROINHIB_DEVICE [[nodiscard]] Place place(Index i) const {
    if (rows == 1) return {0, i};
    if (rows * columns <= Index{0xffffffff}) {
      const auto row = static_cast<unsigned>(i) / static_cast<unsigned>(columns);
      return {row, i - row * columns};
    }
    return {i / columns, i % columns};
  }
};

/// An input laid over a grid; row_step and column_step lead from element to element of `data`, and a step of zero
/// repeats it.
template <class T>
struct Operand {
  const T* data;
  Index row_step, column_step;

  /// The input at that place.
  NEUROINHIB_DEVICE [[nodiscard]] T at(const Grid::Place& place) const {
    return data[place.row * row_step + place.column * column_step];
  }
};

/// N inputs of one elementwise operation over their grid.
template <class T, int N>
struct Operands {
  Grid grid;
  Operand<T> x[N];  ///< the inputs, in their order

  /// Inputs that are as large as y, one row [1, columns], one column [rows, 1] or one number.
  Operands(const Shape& y, const View<const T> (&inputs)[N]) : grid{y.rows(), y.cols()} {
    const bool line = std::all_of(inputs, inputs + N,
                                  [&](const auto& input) { return input.size() == y.size() || input.size() == 1; });
    if (line) grid = {1, y.size()};
    for (int k = 0; k < N; ++k) {
      const View<const T>& input = inputs[k];
      x[k] = {input.data, line || input.rows() == 1 ? 0 : input.cols(),
              (line ? input.size() : input.cols()) == 1 ? 0 : 1};
    }
  }
};

/// A function `f` and its derivative `df`, given as two functors.
template <class F, class D>
struct WithDerivative {
  F f;
  D df;

  template <class... T>
  NEUROINHIB_DEVICE auto operator()(T... x) const {
    return f(x...);
  }
  template <class... T>
  NEUROINHIB_DEVICE auto derivative(T... x) const {
    return df(x...);
  }
};

/// An operation's name for errors: its functor's, where it has one.
template <class F>
constexpr const char* name_of(const char* otherwise) {
  if constexpr (requires { F::name; })
    return F::name;
  else
    return otherwise;
}

/// y = f(x₀, x₁, …), element by element; inputs of one row, one column or one number are repeated. dx_k = Σ dy ·
/// ∂f/∂x_k over the elements that x_k's was repeated for, in an order fixed by the shapes.
template <class T, class F, int N>
struct Map {
  static constexpr const char* name = name_of<F>("map");
  F f;
  Tensor<T> x[N];  ///< the inputs
  Tensor<T> y;

  /// The inputs over their grid.
  [[nodiscard]] Operands<T, N> operands() const {
    View<const T> inputs[N];
    std::copy_n(x, N, inputs);
    return {y.shape, inputs};
  }
  /// The same with dy as one more.
  [[nodiscard]] Operands<T, N + 1> operands_and_gradient() const {
    View<const T> inputs[N + 1];
    std::copy_n(x, N, inputs);
    inputs[N] = {y.gradient, y.shape};
    return {y.shape, inputs};
  }
  /// Claims the inputs' gradients: of those as large as y, and of those that are repeated.
  void claim(GradientSlot<T> (&whole)[N], GradientSlot<T> (&repeated)[N]) const {
    for (int k = 0; k < N; ++k) (x[k].size() == y.size() ? whole : repeated)[k] = x[k].claim_gradient();
  }
};

/// Throws ShapeError for an input that is neither a row nor a column of the grid.
[[noreturn]] inline void refuse_line(std::string_view where, const Shape& shape) {
  const Shape row{1, shape.size()}, column{shape.size(), 1};
  fail<ShapeError>(where, "a row " + row.text() + " or a column " + column.text() + " beside a matrix", shape.text(),
                   "say which with reshaped()");
}

/// The shape of inputs that repeat each other: that of the first which is not repeated, else [rows, columns].
/// Throws ShapeError where they do not fit.
template <class T, std::size_t N>
[[nodiscard]] Shape common_shape(std::string_view where, const Tensor<T> (&inputs)[N]) {
  Index rows = 1, columns = 1;
  int rank = 0;
  for (const auto& input : inputs) {
    if (input.size() == 0)
      fail<ShapeError>(where, "inputs of one element or more", input.shape.text(), "skip empty batches");
    rows = std::max(rows, input.rows());
    columns = std::max(columns, input.cols());
    rank = std::max(rank, input.shape.rank());
  }
  const Shape* whole = nullptr;
  for (const auto& input : inputs) {
    if (input.shape.rank() == 1 && rank > 1 && input.size() > 1) refuse_line(where, input.shape);
    if (input.rows() == rows && input.cols() == columns && whole == nullptr) whole = &input.shape;
  }
  for (const auto& input : inputs)
    if ((input.rows() != rows && input.rows() != 1) || (input.cols() != columns && input.cols() != 1))
      fail<ShapeError>(where, Shape{rows, columns}.text() + ", or one row or one column of it", input.shape.text(),
                       "give inputs that can be repeated to one shape");
  return whole != nullptr ? *whole : Shape{rows, columns};
}

}  // namespace ops

/// What map() takes as an input: an executor's tensor, or what converts to one, as a Parameter does.
template <class X, class Ex>
concept TensorLike = Executor<Ex> && std::convertible_to<const X&, TensorOf<Ex>>;

/// f(x₀, x₁, …), element by element: an operation of the user's own from one functor.
/// f is trivially copyable and has, marked NEUROINHIB_DEVICE where GPUs run it, `T operator()(T x₀, T x₁, …) const`
/// and, for training, `derivative` of the same numbers: one number, or Partials of one an input. `static constexpr
/// const char* name` names it in errors. With `static constexpr bool kVectorised = true` the CPU hands it lanes of
/// numbers as T: write no branches then, and the functions of ops/map/math.hpp instead of std's.
/// Inputs have one shape, or are repeated to it: one row [1, columns], one column [rows, 1], one number. Throws
/// ShapeError where they do not fit.
template <Executor Ex, class F, TensorLike<Ex>... X>
[[nodiscard]] TensorOf<Ex> map(Ex& ex, const F& f, const X&... x) {
  static_assert(std::is_trivially_copyable_v<F>,
                "map: a functor is copied byte by byte, so its members are numbers or pointers; "
                "see docs/write-an-operation.md");
  using T = ScalarOf<Ex>;
  const TensorOf<Ex> inputs[] = {x...};
  const auto y = ex.tensor(ops::common_shape(ops::name_of<F>("map"), inputs),
                           (static_cast<const TensorOf<Ex>&>(x).wants_gradient() || ...));
  ex.run(ops::Map<T, F, static_cast<int>(sizeof...(X))>{f, {x...}, y});
  return y;
}

/// The same with the derivative as a functor of its own: `map(ex, f, df, x)`.
template <Executor Ex, class F, class D, TensorLike<Ex>... X>
  requires(!TensorLike<D, Ex>)
[[nodiscard]] TensorOf<Ex> map(Ex& ex, const F& f, const D& df, const X&... x) {
  return map(ex, ops::WithDerivative<F, D>{f, df}, x...);
}

}  // namespace neuroinhib
