// An operation of the user's own on the GPU: a struct and two functions, in the user's namespace.

#include "cuda/support.cuh"

using namespace neuroinhib;

namespace user {

/// y = x³.
template <class T>
struct Cube {
  static constexpr const char* name = "cube";
  Tensor<T> x, y;
};

template <class T>
void forward(Cuda<T>& cuda, const Cube<T>& op) {
  cuda.parallel_for(op.x.size(), [=] __device__(Index i) { op.y[i] = op.x[i] * op.x[i] * op.x[i]; });
}

template <class T>
void backward(Cuda<T>& cuda, const Cube<T>& op) {
  const auto dx = op.x.claim_gradient();
  const T* dy = op.y.gradient;
  cuda.parallel_for(op.x.size(), [=] __device__(Index i) { dx.put(i, 3 * op.x[i] * op.x[i] * dy[i]); });
}

template <Executor Ex>
TensorOf<Ex> cube(Ex& ex, const TensorOf<Ex>& x) {
  const auto y = ex.tensor(x.shape, x.wants_gradient());
  ex.run(Cube<ScalarOf<Ex>>{x, y});
  return y;
}

}  // namespace user

TEST_CASE("a user's operation runs, records and differentiates on the GPU like our own") {
  using namespace testing;
  constexpr Index kCount = 1000;
  const Numbers values = Values<double>({kCount}, 1).values;
  Cuda<double> cuda;
  Kept<Cuda<double>> x({kCount}, values), row({kCount}, weights(kCount));
  Recording ex(cuda);
  const auto y = user::cube(ex, x.variable());
  ex.backward(weighted_total(ex, y, row));
  const Numbers results = numbers(cuda, View<double>(y)), gradient = x.gradient(), weight = weights(kCount);
  for (std::size_t i = 0; i < values.size(); ++i) {
    CHECK(results[i] == doctest::Approx(values[i] * values[i] * values[i]).epsilon(1e-12));
    CHECK(gradient[i] == doctest::Approx(3 * weight[i] * values[i] * values[i]).epsilon(1e-12));
  }
}
