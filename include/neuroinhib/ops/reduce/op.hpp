#pragma once

#include <cmath>

#include <neuroinhib/ops/map/op.hpp>

namespace neuroinhib {

/// The sum: a functor for reduce_rows() and reduce_columns().
struct Plus {
  static constexpr const char* name = "sum";
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
  template <class T>
  NEUROINHIB_DEVICE T derivative(T /*x*/, T /*y*/) const {
    return 1;
  }
};
/// The larger, or NaN where there is one: a functor for reductions.
struct Maximum {
  static constexpr const char* name = "maximum";
  static constexpr bool kSelects = true;
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    const T larger = a < b ? b : a;  // a, where that is NaN
    return b == b ? larger : b;      // NOLINT(misc-redundant-expression)
  }
};
/// The smaller, or NaN where there is one: a functor for reductions.
struct Minimum {
  static constexpr const char* name = "minimum";
  static constexpr bool kSelects = true;
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    const T smaller = b < a ? b : a;  // a, where that is NaN
    return b == b ? smaller : b;      // NOLINT(misc-redundant-expression)
  }
};

namespace ops {

/// y = x₀ ∘ x₁ ∘ …, over each row (y [rows, 1]) or each column (y [1, columns]) of x [rows, columns].
/// dx_i = dy · ∂y/∂x_i; of an operation that selects, dy at the first element that equals y and zero elsewhere.
template <class T, class Op>
struct Reduce {
  static constexpr const char* name = name_of<Op>("reduce");
  Op op;  ///< ∘
  Tensor<T> x, y;
  bool of_rows;  ///< whether rows are reduced, or columns

  static constexpr bool selects() {
    if constexpr (requires { Op::kSelects; })
      return Op::kSelects;
    else
      return false;
  }
  /// x, y and dy.
  [[nodiscard]] Operands<T, 3> gradient_operands() const {
    return {x.shape, {x, y, View<const T>{y.gradient, y.shape}}};
  }
};

/// dx of one element, from x, y and dy: operator() on these three. kInputs, kOutputs and kVectorised say so to the
/// kernel; `op` is the reduction's.
template <class Op>
struct ReduceGradient {
  static constexpr int kInputs = 3, kOutputs = 1;
  static constexpr bool kVectorised = false;
  Op op;
  template <class T>
  NEUROINHIB_DEVICE Partials<T, 1> operator()(const T* x) const {
    static_assert(
        requires { op.derivative(x[0], x[1]); },
        "reduce: an operation that gradients pass through has derivative(x, y), or kSelects; "
        "see docs/write-an-operation.md");
    return {{x[2] * static_cast<T>(op.derivative(x[0], x[1]))}};
  }
};

/// Element i's place where it was selected; `none` elsewhere.
template <class T, class Place>
NEUROINHIB_DEVICE Place selected(T x, T y, Place i, Place none) {
  return x == y || (std::isnan(x) && std::isnan(y)) ? i : none;
}

}  // namespace ops

/// One number of each row of x [rows, columns]: [rows, 1]. `op` is a functor as map's: `T operator()(T a, T b) const`,
/// associative and commutative, and `derivative(x, y)`, of the result y by one of its elements x. One that selects an
/// element, such as a maximum, has `static constexpr bool kSelects = true` instead of a derivative.
/// The order of elements is fixed by the shape. Throws ShapeError for an empty tensor.
template <Executor Ex, class Op>
[[nodiscard]] TensorOf<Ex> reduce_rows(Ex& ex, const Op& op, const TensorOf<Ex>& x) {
  require_width(ops::name_of<Op>("reduce rows"), x.cols(), x.shape, "skip empty batches");
  const auto y = ex.tensor({x.rows(), 1}, x.wants_gradient());
  ex.run(ops::Reduce<ScalarOf<Ex>, Op>{op, x, y, true});
  return y;
}

/// One number of each column of x [rows, columns]: [1, columns]. As reduce_rows.
template <Executor Ex, class Op>
[[nodiscard]] TensorOf<Ex> reduce_columns(Ex& ex, const Op& op, const TensorOf<Ex>& x) {
  require_width(ops::name_of<Op>("reduce columns"), x.cols(), x.shape, "skip empty batches");
  const auto y = ex.tensor({1, x.cols()}, x.wants_gradient());
  ex.run(ops::Reduce<ScalarOf<Ex>, Op>{op, x, y, false});
  return y;
}

}  // namespace neuroinhib
