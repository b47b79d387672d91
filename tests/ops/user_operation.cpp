// An operation of the user's own: a struct and two functions, in the user's namespace.

#include "support.hpp"

using namespace neuroinhib;

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
  const auto dx = op.x.gradient_slot();
  cpu.parallel_for(op.x.size(), [&](Index i) { dx.put(i, 3 * op.x[i] * op.x[i] * op.y.gradient[i]); });
}

template <Executor Ex>
TensorOf<Ex> cube(Ex& ex, const TensorOf<Ex>& x) {
  const auto y = ex.tensor(x.shape, x.wants_gradient());
  ex.run(Cube<ScalarOf<Ex>>{x, y});
  return y;
}

}  // namespace user

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
