#include <limits>

#include "support.hpp"

using namespace testing;

namespace {

using Everything = MoeLayer<TwoLayerRouter<Tanh>, GlobalInhibition, NoisyTopK<2>, SwiGlu>;

Everything::Config everything() {
  Everything::Config config{.width = 70,
                            .experts = 6,
                            .hidden = {40},
                            .auxiliary = {.importance = .1, .z = .01},
                            .router = {.hidden = 33},
                            .mix = {.load_weight = .1}};
  config.inhibition.earlier_widths = {70};
  return config;
}

/// The parameters after some training steps.
std::vector<float> trained(int threads) {
  Everything layer(everything());
  Parameters<float> parameters(layer, 4);
  Cpu<float> cpu({.threads = threads, .seed = 9});
  Adam<float> adam(parameters, {.learning_rate = 1e-2});
  std::vector<int> labels(50);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int>(i % 70);
  for (std::uint64_t step = 0; step < 5; ++step) {
    Values<float> x({50, 70}, step);
    const std::vector<Tensor<float>> earlier{x.constant()};
    Recording ex(cpu);
    const auto out = layer.forward(ex, x.constant(), earlier);
    ex.backward(sum(ex, {cross_entropy(ex, out.y, {labels.data(), {50}}), out.auxiliary}));
    adam.step(cpu, parameters);
  }
  return {parameters.values().begin(), parameters.values().end()};
}

}  // namespace

TEST_CASE("training gives the same bits on 1, 2 and 5 threads") {
  const auto one = trained(1);
  CHECK(trained(2) == one);
  CHECK(trained(5) == one);
}

TEST_CASE("inference and training compute the same forward") {
  MoeLayer<LinearRouter, GluInhibition> layer({.width = 8, .experts = 3, .hidden = {5}});
  Parameters<float> parameters(layer, 1);
  Values<float> x({9, 8}, 2);
  Cpu<float> plain, recorded;
  const auto a = layer.forward(plain, x.constant()).y;
  Recording ex(recorded);
  const auto b = layer.forward(ex, x.constant()).y;
  CHECK(distance(a.data, b.data, a.size()) == 0);
  CHECK(!a.wants_gradient());
}

TEST_CASE("an expert that gets no token has zero gradients, and a single token works") {
  MoeLayer<LinearRouter, NoInhibition, TopM<1>, Mlp<Relu>, Cpu<double>> layer(
      {.width = 4, .experts = 5, .hidden = {3}});
  Parameters<double> parameters(layer, 3);
  Values<double> x({1, 4}, 1);
  Cpu<double> cpu;
  Recording ex(cpu);
  const auto out = layer.forward(ex, x.constant());
  ex.backward(linear(ex, out.y, Values<double>({1, 4}, 5).constant()));
  const int chosen = out.routing.plan.expert[0];
  const auto& weight = parameters["experts.layers.0.weight"];
  for (Index e = 0; e < 5; ++e)
    for (Index i = 0; i < 12; ++i)
      if (e != chosen) CHECK(weight.gradient[e * 12 + i] == 0);
}

TEST_CASE("gradients add up over passes until they are zeroed") {
  nn::Linear<double> layer(3, 1);
  Parameters<double> parameters(layer, 1);
  Values<double> x({1, 3}, 1);
  Cpu<double> cpu;
  const auto pass = [&] {
    Recording ex(cpu);
    ex.backward(layer(ex, x.constant()));
  };
  pass();
  pass();
  CHECK(parameters.gradients()[0] == doctest::Approx(2 * x.values[0]));
  parameters.zero_gradients();
  CHECK(parameters.gradients()[0] == 0);
}

TEST_CASE("a layer refuses configurations and inputs that cannot work") {
  using L = MoeLayer<LinearRouter, NoInhibition, TopM<3>, Mlp<Relu>>;
  check_error<ConfigError>([] { L layer({.width = 4, .experts = 0}); }, {"experts ≥ 1", "got 0"});
  check_error<ConfigError>([] { L layer({.width = 0, .experts = 4}); }, {"width ≥ 1"});
  check_error<ConfigError>([] { L layer({.width = 4, .experts = 4, .hidden = {0}}); }, {"hidden[0] ≥ 1", "got 0"});
  Cpu<float> cpu;
  Values<float> x({5, 4}, 1), wide({5, 6}, 1), empty({0, 4}, 1);
  check_error<ConfigError>([] { L few({.width = 4, .experts = 2, .hidden = {3}}); }, {"M ≤ K = 2", "M = 3"});
  L layer({.width = 4, .experts = 4, .hidden = {3}});
  const Parameters<float> parameters(layer, 1);
  check_error<ShapeError>([&] { (void)layer.forward(cpu, wide.constant()); }, {"MoE layer", "width 4", "[5, 6]"});
  check_error<ShapeError>([&] { (void)layer.forward(cpu, empty.constant()); }, {"empty batch"});
  const std::vector<Tensor<float>> earlier{Values<float>({3, 2}, 1).constant()};
  check_error<ShapeError>([&] { (void)layer.forward(cpu, x.constant(), earlier); }, {"5 rows", "[3, 2]"});
  using P = MoeLayer<LinearRouter, PretextInhibition>;
  check_error<ConfigError>([] { P pretext({.width = 4, .experts = 4}); }, {"earlier activation"});
  P::Config config{.width = 4, .experts = 4};
  config.inhibition.earlier_widths = {2};
  P pretext(config);
  const Parameters<float> r(pretext, 1);
  check_error<ShapeError>([&] { (void)pretext.forward(cpu, x.constant()); }, {"1 earlier activations", "got 0"});
  using W = MoeLayer<TwoLayerRouter<>, GluInhibition>;
  check_error<ConfigError>([] { W w({.width = 4, .experts = 4, .expert_input = ExpertInput::inhibited}); },
                           {"LinearRouter"});
  using G = MoeLayer<LinearRouter, NoInhibition, TopM<2>, SwiGlu>;
  check_error<ConfigError>([] { G g({.width = 4, .experts = 4}); }, {"one hidden width"});
  using S = MoeLayer<LinearRouter, NoInhibition, SoftmaxOfTopM<2>>;
  S s({.width = 4, .experts = 4, .hidden = {3}, .auxiliary = {.balance = 1}});
  const Parameters<float> t(s, 1);
  check_error<ConfigError>([&] { (void)s.forward(cpu, x.constant()); }, {"balance loss"});
}

TEST_CASE("a layer without memory for its parameters says so") {
  MoeLayer<LinearRouter> layer({.width = 4, .experts = 4, .hidden = {3}});
  Cpu<float> cpu;
  Values<float> x({5, 4}, 1);
  check_error<ConfigError>([&] { (void)layer.forward(cpu, x.constant()); }, {"Parameters", "parameter ["});
}

TEST_CASE("NaN is found where it begins") {
  MoeLayer<LinearRouter, GluInhibition> layer({.width = 4, .experts = 3, .hidden = {3}});
  Parameters<float> parameters(layer, 1);
  std::vector<int> labels{0, 1, 2};
  const View<const int> view{labels.data(), {3}};
  Values<float> x({3, 4}, 1);
  Cpu<float> cpu;
  const auto loss = [&](auto& ex) { return cross_entropy(ex, layer.forward(ex, x.constant()).y, view); };
  {
    Recording ex(cpu);
    CHECK_NOTHROW(ex.require_finite(loss(ex), "step 1"));
  }
  parameters["inhibition.glu.gate.weight"][0] = std::numeric_limits<float>::quiet_NaN();
  {
    Recording ex(cpu);
    const auto value = loss(ex);
    check_error<NumericError>([&] { ex.require_finite(value, "step 2"); },
                              {"step 2", "nan", "the output of linear, [3, 4]"});
  }
  Recording ex(cpu);
  x.values[5] = std::numeric_limits<float>::infinity();
  check_error<NumericError>([&] { require_finite<float>(x.constant(), "batch 7"); }, {"batch 7", "inf at element 5"});
}

TEST_CASE("backward asks for a scalar that depends on something") {
  Cpu<float> cpu;
  Recording ex(cpu);
  Values<float> x({2, 2}, 1), one({1}, 1);
  check_error<ShapeError>([&] { ex.backward(x.variable()); }, {"a scalar loss", "[2, 2]"});
  check_error<ConfigError>([&] { ex.backward(one.constant()); }, {"depends on a parameter"});
}
