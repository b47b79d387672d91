#pragma once

#include <neuroinhib/ops/elementwise/op.hpp>
#include <neuroinhib/ops/reduce/op.hpp>

/// Arithmetic between tensors, of which rows [1, columns], columns [rows, 1] and single numbers are repeated, and sums,
/// means and maxima of rows and columns: all from map and reduce.
namespace neuroinhib {
namespace ops {

/// a + b: a functor for map().
struct Add {
  static constexpr const char* name = "add";
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
  template <class T>
  NEUROINHIB_DEVICE Partials<T, 2> derivative(T, T) const {
    return {{1, 1}};
  }
};

/// a − b: a functor for map().
struct Subtract {
  static constexpr const char* name = "subtract";
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    return a - b;
  }
  template <class T>
  NEUROINHIB_DEVICE Partials<T, 2> derivative(T, T) const {
    return {{1, -1}};
  }
};

/// a · b: a functor for map().
struct Multiply {
  static constexpr const char* name = "multiply";
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    return a * b;
  }
  template <class T>
  NEUROINHIB_DEVICE Partials<T, 2> derivative(T a, T b) const {
    return {{b, a}};
  }
};

/// a / b: a functor for map().
struct Divide {
  static constexpr const char* name = "divide";
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    return a / b;
  }
  template <class T>
  NEUROINHIB_DEVICE Partials<T, 2> derivative(T a, T b) const {
    return {{1 / b, -a / (b * b)}};
  }
};

}  // namespace ops

/// a + b.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> add(Ex& ex, const TensorOf<Ex>& a, const TensorOf<Ex>& b) {
  return map(ex, ops::Add{}, a, b);
}
/// a − b.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> subtract(Ex& ex, const TensorOf<Ex>& a, const TensorOf<Ex>& b) {
  return map(ex, ops::Subtract{}, a, b);
}
/// a ⊙ b.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> multiply(Ex& ex, const TensorOf<Ex>& a, const TensorOf<Ex>& b) {
  return map(ex, ops::Multiply{}, a, b);
}
/// a / b.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> divide(Ex& ex, const TensorOf<Ex>& a, const TensorOf<Ex>& b) {
  return map(ex, ops::Divide{}, a, b);
}

/// The sum of each row of x [rows, columns]: [rows, 1].
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> row_sums(Ex& ex, const TensorOf<Ex>& x) {
  return reduce_rows(ex, Plus{}, x);
}
/// The sum of each column of x [rows, columns]: [1, columns].
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> column_sums(Ex& ex, const TensorOf<Ex>& x) {
  return reduce_columns(ex, Plus{}, x);
}
/// The mean of each row of x [rows, columns]: [rows, 1].
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> row_means(Ex& ex, const TensorOf<Ex>& x) {
  return scale(ex, row_sums(ex, x), 1 / static_cast<double>(x.cols()));
}
/// The mean of each column of x [rows, columns]: [1, columns].
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> column_means(Ex& ex, const TensorOf<Ex>& x) {
  return scale(ex, column_sums(ex, x), 1 / static_cast<double>(x.rows()));
}
/// The largest of each row of x [rows, columns]: [rows, 1]. Its gradient goes to the first of equals.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> row_maxima(Ex& ex, const TensorOf<Ex>& x) {
  return reduce_rows(ex, Maximum{}, x);
}
/// The largest of each column of x [rows, columns]: [1, columns]. Its gradient goes to the first of equals.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> column_maxima(Ex& ex, const TensorOf<Ex>& x) {
  return reduce_columns(ex, Maximum{}, x);
}
/// The sum of all elements: a scalar, such as a loss.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> total(Ex& ex, const TensorOf<Ex>& x) {
  return row_sums(ex, x.reshaped({1, x.size()})).reshaped(Shape::scalar());
}

}  // namespace neuroinhib
