// An operation of the user's own: from one functor, or as a struct and two functions in the user's namespace.

#include "support.hpp"

using namespace neuroinhib;

namespace user {

/// a |b|, and its derivatives by a and b.
struct TimesSize {
  static constexpr const char* name = "times size";
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    return b < 0 ? -a * b : a * b;
  }
  template <class T>
  NEUROINHIB_DEVICE auto derivative(T a, T b) const {
    return b < 0 ? Partials{-b, -a} : Partials{b, a};
  }
};

/// log(exp a + exp b), and the derivative of a whole row's by one of its elements.
struct LogAddExp {
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    return a > b ? a + std::log1p(std::exp(b - a)) : b + std::log1p(std::exp(a - b));
  }
  template <class T>
  NEUROINHIB_DEVICE T derivative(T x, T y) const {
    return std::exp(x - y);
  }
};

}  // namespace user

namespace user {

/// y = x³.
template <class T>
struct Cube {
  static constexpr const char* name = "cube";
  Tensor<T> x, y;
};

template <class T>
void forward(Cpu<T>& cpu, const Cube<T>& op) {
  cpu.parallel_for(op.x.size(), [&](Index i) { op.y[i] = op.x[i] * op.x[i] * op.x[i]; });
}

template <class T>
void backward(Cpu<T>& cpu, const Cube<T>& op) {
  const auto dx = op.x.claim_gradient();
  cpu.parallel_for(op.x.size(), [&](Index i) { dx.put(i, 3 * op.x[i] * op.x[i] * op.y.gradient[i]); });
}

template <Executor Ex>
TensorOf<Ex> cube(Ex& ex, const TensorOf<Ex>& x) {
  const auto y = ex.tensor(x.shape, x.wants_gradient());
  ex.run(Cube<ScalarOf<Ex>>{x, y});
  return y;
}

}  // namespace user

TEST_CASE("a functor and its derivative are an operation") {
  testing::Values<double> x({3, 4}, 1), row({1, 4}, 2);
  testing::check_gradient({x.variable(), row.variable()}, [&](auto& ex) {
    return map(ex, user::TimesSize{}, x.variable(), row.variable());  // the row is repeated
  });
  testing::check_gradient({x.variable()}, [&](auto& ex) { return reduce_rows(ex, user::LogAddExp{}, x.variable()); });
}

TEST_CASE("a user's operation runs, records and differentiates like our own") {
  testing::Values<double> x({3, 4}, 1);
  testing::check_gradient({x.variable()},
                          [&](auto& ex) { return user::cube(ex, activate(ex, x.variable(), Activation::tanh)); });
}

TEST_CASE("an operation made of others needs no backward") {
  testing::Values<double> x({3, 4}, 1), w({4, 4}, 2);
  const auto residual = [&](auto& ex) {
    return sum(ex, {x.variable(), activate(ex, linear(ex, x.variable(), w.variable()), Activation::gelu)});
  };
  testing::check_gradient({x.variable(), w.variable()}, residual);
}
