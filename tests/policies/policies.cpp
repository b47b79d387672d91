// Inhibitions, routers, mixes and experts: gradients, equivalences, and what each must and must not do.

#include "policies/cases.hpp"

using namespace testing;

namespace {

/// Gradient of y and of the auxiliary loss by every parameter and the input, after a training step of another size that
/// fills post-text memories.
template <class L>
void check_layer(const typename L::Config& config, const std::vector<Shape>& earlier_shapes) {
  L layer(config);
  Parameters<double> parameters(layer, 11);
  Values<double> before({kMoreTokens, kWidth}, 50), x({kTokens, kWidth}, 51);
  std::vector<Values<double>> earlier;
  for (const Shape& shape : earlier_shapes) earlier.emplace_back(shape, 52 + earlier.size());
  const auto tensors = [&](bool variable) {
    std::vector<Tensor<double>> all;
    for (auto& e : earlier) all.push_back(variable ? e.variable() : e.constant());
    return all;
  };
  {
    Cpu<double> cpu({.seed = 3});
    Recording ex(cpu);
    std::vector<Values<double>> longer;
    std::vector<Tensor<double>> longer_tensors;
    for (const Shape& shape : earlier_shapes) longer.emplace_back(Shape{kMoreTokens, shape.cols()}, 60);
    for (auto& e : longer) longer_tensors.push_back(e.constant());
    (void)layer.forward(ex, before.constant(), longer_tensors, context_of(ex, before.constant()));
  }
  Values<double> weights({1, kTokens * (config.output > 0 ? config.output : kWidth)}, 53);
  // The memory must stay as it is while the differences are taken.
  const auto kept = parameters.states();
  const auto forward = [&](auto& ex) {
    for (std::size_t i = 0; i < kept.size(); ++i) parameters.states()[i].assign(kept[i].view());
    const auto out = layer.forward(ex, x.variable(), tensors(true), context_of(ex, x.variable()));
    if (!out.auxiliary.defined()) return out.y;
    const auto flat = out.y.reshaped({1, out.y.size()});
    return sum(ex, {linear(ex, flat, weights.constant()).reshaped(Shape::scalar()), out.auxiliary});
  };
  std::vector<Tensor<double>> inputs{x.variable()};
  for (const auto& tensor : tensors(true)) inputs.push_back(tensor);
  for (const auto& entry : parameters.entries()) inputs.push_back(entry.tensor);
  check_gradient(inputs, forward);
}

template <class L, class T = double>
std::vector<T> output_of(typename L::Config config, std::uint64_t seed = 11) {
  config.width = kWidth;
  config.experts = kExperts;
  config.hidden = {7};
  L layer(config);
  Parameters<T> parameters(layer, seed);
  Values<T> x({kTokens, kWidth}, 51);
  Cpu<T> cpu;
  const auto y = layer.forward(cpu, x.constant()).y;
  return {y.begin(), y.end()};
}

}  // namespace

TEST_CASE("gradients of every policy") {
  for_each_layer<double>(
      []<class L>(const std::string& name, const typename L::Config& config, const std::vector<Shape>& earlier) {
        INFO(name);
        check_layer<L>(config, earlier);
      });
}

TEST_CASE("an expert without hidden layers is linear") {
  Layer<LinearRouter, NoInhibition, TopM<2>, Mlp<Relu>> layer({.width = 3, .experts = 2, .output = 4});
  Parameters<double> parameters(layer, 1);
  CHECK(parameters["experts.layers.0.weight"].shape == Shape{2, 4, 3});
}

TEST_CASE("softmax of the top logits equals the top probabilities divided by their sum (MI eq. 2 and 24)") {
  const auto a = output_of<Layer<LinearRouter, NoInhibition, TopM<3>>>({});
  const auto b = output_of<Layer<LinearRouter, NoInhibition, SoftmaxOfTopM<3>>>({});
  CHECK(distance(a.data(), b.data(), static_cast<Index>(a.size())) < 1e-14);
}

TEST_CASE("TopM of all experts equals Dense, and Dense its definition") {
  const auto a = output_of<Layer<LinearRouter, NoInhibition, TopM<kExperts>>>({});
  const auto b = output_of<Layer<LinearRouter, NoInhibition, Dense>>({});
  CHECK(distance(a.data(), b.data(), static_cast<Index>(a.size())) < 1e-14);
}

TEST_CASE("Switch keeps the probability as its gate, so the router gets the task's gradient") {
  Layer<LinearRouter, NoInhibition, Switch> layer({.width = kWidth, .experts = kExperts, .hidden = {7}});
  Parameters<double> parameters(layer, 2);
  Values<double> x({kTokens, kWidth}, 51);
  Cpu<double> cpu;
  Recording ex(cpu);
  const auto out = layer.forward(ex, x.constant());
  CHECK(out.routing.gates[0] < 1);
  CHECK(out.routing.gates[0] > 1.0 / kExperts);
  ex.backward(linear(ex, out.y.reshaped({1, out.y.size()}), Values<double>({1, out.y.size()}, 1).constant()));
  CHECK(distance(parameters["router.score.weight"].gradient, x.values.data(), 4) > 0);
  CHECK(*parameters["router.score.weight"].gradient != 0);
}

TEST_CASE("GLU is Global without its other terms") {
  using Glob = Layer<TwoLayerRouter<Tanh>, PosttextInhibition>;
  const auto glu = output_of<Layer<TwoLayerRouter<Tanh>, GluInhibition>>({});
  const auto iteration0 = output_of<Glob>({});
  CHECK(glu == iteration0);
}

TEST_CASE("as printed, the other terms are added outside the bracket (NI eq. 3, 4)") {
  Cpu<double> cpu;
  Values<double> z({3, 4}, 1), g({3, 4}, 2), t({1, 4}, 3);
  const std::array<GateTerm<double>, 2> terms{{{g.constant(), true}, {t.constant(), false}}};
  const auto inside = gate(cpu, z.constant(), std::span<const GateTerm<double>>(terms), Bracket::inside);
  const auto printed = gate(cpu, z.constant(), std::span<const GateTerm<double>>(terms), Bracket::as_printed);
  const auto sigma = [](double v) { return 1 / (1 + std::exp(-v)); };
  for (Index i = 0; i < 12; ++i) {
    const double zi = z.values[static_cast<std::size_t>(i)], gi = g.values[static_cast<std::size_t>(i)],
                 ti = t.values[static_cast<std::size_t>(i % 4)];
    CHECK(inside.y[i] == doctest::Approx(zi * sigma(gi + ti)).epsilon(1e-12));
    CHECK(printed.y[i] == doctest::Approx(zi * sigma(gi) + ti).epsilon(1e-12));
    CHECK(printed.mask[i] == doctest::Approx(sigma(gi)).epsilon(1e-12));
  }
  using NoLocal = Gated<Posttext>;
  NoLocal::Config config;
  config.bracket = Bracket::as_printed;
  check_error<ConfigError>([&] { NoLocal::Module<double>(config, {4, 4, 4, 4}); }, {"a local term (Glu)"});
}

TEST_CASE("random inhibition is off outside training") {
  CHECK(output_of<Layer<TwoLayerRouter<Tanh>, RandomInhibition>>({.inhibition = {.p = 0.75}}) ==
        output_of<Layer<TwoLayerRouter<Tanh>, NoInhibition>>({}));
}

TEST_CASE("a gate term of the user's own joins the others") {
  // Its page is examples/03_own_inhibition.cpp; here the order of terms must not matter.
  const auto a = output_of<Layer<LinearRouter, Gated<Glu, Posttext>>>({});
  const auto b = output_of<Layer<LinearRouter, Gated<Posttext, Glu>>>({});
  CHECK(a == b);
}
