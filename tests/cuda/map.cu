// Operations from functors on the GPU: against the CPU in double, twice with the same bits, and in captured steps.

#include <neuroinhib/analysis/routing.hpp>
#include <neuroinhib/analysis/step_sums.hpp>

#include "cuda/support.cuh"
#include "ops/functors.hpp"

using namespace testing;

namespace {

/// y, and the inputs' gradients for a loss of unequal weights.
template <class B, class F>
std::vector<Numbers> outcome(B& backend, const std::string& name, const std::vector<Shape>& shapes, const F& f) {
  using T = typename B::Scalar;
  std::vector<Kept<B>> kept;
  kept.reserve(shapes.size());
  for (const Shape& shape : shapes) {
    auto values = Values<double>(shape, kept.size() + 1).values;
    if (name.find("positive") != std::string::npos)
      for (double& x : values) x = .5 + std::abs(x);
    kept.emplace_back(shape, values);
  }
  std::vector<Tensor<T>> inputs;
  for (auto& k : kept) inputs.push_back(k.variable());
  Recording ex(backend);
  const Tensor<T> y = f(ex, inputs);
  Kept<B> row(y.shape, weights(y.size()));
  ex.backward(total(ex, multiply(ex, y, row.constant())));
  std::vector<Numbers> all{numbers(backend, View<T>(y))};
  for (auto& k : kept) all.push_back(k.gradient());
  return all;
}

template <Executor Ex>
TensorOf<Ex> square(Ex& ex, const TensorOf<Ex>& x) {
  using T = ScalarOf<Ex>;
  return map(ex, [] NEUROINHIB_DEVICE(T v) { return v * v; }, [] NEUROINHIB_DEVICE(T v) { return 2 * v; }, x);
}

/// value −= rate · gradient.
struct UpdateBy {
  float *value, *gradient, rate;
  __device__ void operator()(Index i) const { value[i] -= rate * gradient[i]; }
};

}  // namespace

TEST_CASE("operations from functors equal the CPU's") {
  Cuda<double> cuda;
  Cpu<double> cpu;
  for_each_functor([&](const std::string& name, const std::vector<Shape>& shapes, const auto& f) {
    const auto expected = outcome(cpu, name, shapes, f), actual = outcome(cuda, name, shapes, f);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO(name, i == 0 ? std::string(", result") : ", gradient of input " + std::to_string(i - 1));
      CHECK(distance(actual[i], expected[i]) <= 1e-13);
    }
    CHECK_MESSAGE(outcome(cuda, name, shapes, f) == actual, name, ": the second run gave other bits");
  });
}

TEST_CASE("operations from functors may be lambdas") {
  Cuda<float> cuda;
  Kept<Cuda<float>> x({3}, {1, -2, 3});
  Recording ex(cuda);
  const auto y = square(ex, x.variable());
  ex.backward(total(ex, y));
  CHECK(numbers(cuda, View<float>(y)) == Numbers{1, 4, 9});
  CHECK(x.gradient() == Numbers{2, -4, 6});
}

TEST_CASE("reductions of every length equal the CPU's") {
  Cuda<double> cuda;
  Cpu<double> cpu;
  for (const Shape& shape :
       {Shape{1, 1}, Shape{70001, 1}, Shape{3, 31}, Shape{9, 33}, Shape{5000, 7}, Shape{2, 100003}}) {
    const auto all = [](auto& ex, const auto& in) {
      return multiply(ex, multiply(ex, row_sums(ex, in[0]), total(ex, in[0])),
                      total(ex, multiply(ex, column_sums(ex, in[0]), column_maxima(ex, in[0]))));
    };
    INFO(shape.text());
    const auto expected = outcome(cpu, "", {shape}, all), actual = outcome(cuda, "", {shape}, all);
    CHECK(distance(actual[0], expected[0]) <= 1e-11);
    CHECK(distance(actual[1], expected[1]) <= 1e-11);
  }
}

TEST_CASE("a maximum gives its gradient to the first of equals, and shows NaN, as on the CPU") {
  Cuda<float> cuda;
  const auto gradient = [&](const Numbers& values, const auto& reduce) {
    Kept<Cuda<float>> x({2, 3}, values);
    Recording ex(cuda);
    ex.backward(total(ex, reduce(ex, x.variable())));
    return x.gradient();
  };
  const auto rows = [](auto& ex, const auto& x) { return row_maxima(ex, x); };
  const auto columns = [](auto& ex, const auto& x) { return column_maxima(ex, x); };
  CHECK(gradient({1, 2, 2, 3, 2, 2}, rows) == Numbers{0, 1, 0, 1, 0, 0});
  CHECK(gradient({1, 2, 2, 3, 2, 2}, columns) == Numbers{0, 1, 1, 1, 0, 0});
  CHECK(gradient({1, NAN, 2, NAN, 2, NAN}, rows) == Numbers{0, 1, 0, 1, 0, 0});
  CHECK(gradient({1, NAN, 2, NAN, 2, NAN}, columns) == Numbers{0, 1, 0, 1, 0, 1});
}

TEST_CASE("operations from functors are captured, and replayed with the same bits") {
  const auto train = [](bool captured) {
    Cuda<float> cuda;
    Kept<Cuda<float>> x({300, 17}, Values<double>({300, 17}, 1).values),
        row({1, 17}, Values<double>({1, 17}, 2).values);
    const auto w = row.variable();
    const auto step = [&] {
      neuroinhib::detail::set_flag(*w.gradient_written, false);
      Recording ex(cuda);
      const auto y = map(ex, Mixed{}, x.constant(), w, row_maxima(ex, x.constant()));
      ex.backward(total(ex, multiply(ex, y, column_means(ex, y))));
      cuda.parallel_for(17, UpdateBy{w.data, w.gradient, 1e-7f});
    };
    step();
    if (captured) {
      const CudaGraph graph = cuda.capture(step, 2);
      for (int i = 0; i < 3; ++i) cuda.replay(graph);
    } else {
      for (int i = 0; i < 6; ++i) step();
    }
    return numbers(cuda, View<float>(w));
  };
  const Numbers one_by_one = train(false);
  CHECK(train(true) == one_by_one);
  CHECK(one_by_one != Values<double>({1, 17}, 2).values);
}

TEST_CASE("loads, entropy and unused experts leave padding out, as on the CPU") {
  const auto counts = [](auto& backend) {
    using B = std::remove_reference_t<decltype(backend)>;
    Kept<B> p({4, 3}, {.5, .5, 0, /**/ 1, 0, 0, /**/ 0, .5, .5, /**/ .25, .75, 0});
    const View<int> document = backend.integers({4});
    const std::vector<int> numbers{0, -1, 2, 3};
    backend.write(document, numbers.data());
    Routing<double> routing;
    routing.probabilities = p.constant();
    const auto top = top_m(backend, p.constant(), 2);
    routing.plan = routing_plan(backend, top.expert, 3);
    return analyse(backend, routing_counts(backend, routing, count_tokens(backend, 4, document)));
  };
  Cuda<double> cuda;
  Cpu<double> cpu;
  const RoutingAnalysis expected = counts(cpu), actual = counts(cuda);
  CHECK(actual.slots == expected.slots);
  CHECK(actual.tokens == 3);
  CHECK(actual.entropy() == doctest::Approx(expected.entropy()));
}

TEST_CASE("correlations with a label equal the CPU's, and a constant neuron tells nothing") {
  constexpr Index kRows = 300, kNeurons = 130;
  const auto sums = [](auto& backend) {
    using B = std::remove_reference_t<decltype(backend)>;
    std::vector<double> values = Values<double>({kRows, kNeurons}, 1).values, labels;
    for (Index row = 0; row < kRows; ++row) {
      labels.push_back(row % 3 == 0 ? 1 : 0);
      values[static_cast<std::size_t>(row * kNeurons)] = .1;
      values[static_cast<std::size_t>(row * kNeurons + 1)] += 1e3 + labels.back();
    }
    Kept<B> features({kRows, kNeurons}, values), kinds({kRows}, labels);
    return analyse(backend, correlation(backend, features.constant(), kinds.constant()));
  };
  Cuda<double> cuda;
  Cpu<double> cpu;
  const Correlation expected = sums(cpu), actual = sums(cuda);
  CHECK(distance(actual.coefficients(), expected.coefficients()) < 1e-10);
  CHECK(distance(actual.features.mean(), expected.features.mean()) < 1e-12);
  CHECK(distance(actual.features.deviation(), expected.features.deviation()) < 1e-12);
  CHECK(actual.coefficients()[0] == 0);
}
