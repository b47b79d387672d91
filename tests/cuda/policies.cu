// Every policy in a layer on the GPU against the CPU in double.

#include "cuda/support.cuh"
#include "policies/cases.hpp"

using namespace testing;

namespace {

/// Output, auxiliary loss and all gradients of the second of two training steps.
template <class L, class B>
std::vector<Numbers> outcome(B& backend, const typename L::Config& config, const std::vector<Shape>& earlier) {
  using T = typename B::Scalar;
  L layer(config);
  Parameters<T> parameters(layer, 11, backend.space());
  const auto kept = [](const Shape& shape, std::uint64_t seed) {
    return Kept<B>(shape, Values<double>(shape, seed).values);
  };
  const auto forward = [&](auto& ex, Kept<B>& x, std::vector<Kept<B>>& others) {
    std::vector<Tensor<T>> tensors;
    for (auto& other : others) tensors.push_back(other.variable());
    return layer.forward(ex, x.variable(), tensors, context_of(ex, x.variable()));
  };
  {
    Recording ex(backend);
    Kept<B> x = kept({kMoreTokens, kWidth}, 50);
    std::vector<Kept<B>> others;
    for (const Shape& shape : earlier) others.push_back(kept({kMoreTokens, shape.cols()}, 60));
    (void)forward(ex, x, others);
  }
  Recording ex(backend);
  Kept<B> x = kept({kTokens, kWidth}, 51);
  std::vector<Kept<B>> others;
  for (const Shape& shape : earlier) others.push_back(kept(shape, 52 + others.size()));
  const auto out = forward(ex, x, others);
  Kept<B> row(Shape{out.y.size()}, weights(out.y.size()));
  ex.backward(sum(ex, {weighted_total(ex, out.y, row), out.auxiliary}));
  std::vector<Numbers> all{numbers(backend, View<T>(out.y)), x.gradient()};
  for (const auto& other : others) all.push_back(other.gradient());
  (void)parameters.gradients();
  for (const auto& entry : parameters.entries()) {
    const auto gradient = parameters.gradient_of(entry);
    all.emplace_back(gradient.begin(), gradient.end());
  }
  return all;
}

template <class B>
void check_layers(B& backend, double tolerance) {
  std::vector<std::vector<Numbers>> expected;
  for_each_layer<double>(
      [&]<class L>(const std::string&, const typename L::Config& config, const std::vector<Shape>& earlier) {
        Cpu<double> cpu({.seed = 3});
        expected.push_back(outcome<L>(cpu, config, earlier));
      });
  std::size_t at = 0;
  for_each_layer<typename B::Scalar>(
      [&]<class L>(const std::string& name, const typename L::Config& config, const std::vector<Shape>& earlier) {
        backend.random() = {3, 0};
        const auto actual = outcome<L>(backend, config, earlier);
        const auto& wanted = expected[at++];
        REQUIRE(actual.size() == wanted.size());
        for (std::size_t i = 0; i < wanted.size(); ++i) {
          INFO(name, ", number ", i);
          CHECK(distance(actual[i], wanted[i]) <= tolerance);
        }
      });
}

}  // namespace

TEST_CASE("policies in double equal the CPU's") {
  Cuda<double> cuda;
  check_layers(cuda, 1e-11);
}

TEST_CASE("policies in strict float equal the CPU's in double") {
  Cuda<float> cuda({.precision = Precision::strict});
  check_layers(cuda, 1e-4);
}
