// Every layer gated by every other: gradients, and which layer depends on which.

#include "support.hpp"

using namespace testing;

namespace {

struct Network {
  std::array<nn::Linear<double>, 3> layers{{{4, 5}, {5, 6}, {6, 3}}};
  AllToAll<double> inhibition{{5, 6, 3}};

  void visit(auto&& v) {
    v("layers", layers);
    v("inhibition", inhibition);
  }
  /// z* of each layer.
  std::vector<Tensor<double>> forward(auto& ex, Tensor<double> x) {
    std::vector<Tensor<double>> gated;
    auto pass = inhibition.begin(ex);
    for (const auto& layer : layers) {
      gated.push_back(pass.inhibit(layer(ex, x)));
      x = activate(ex, gated.back(), Activation::tanh);
    }
    return gated;
  }
};

struct Fixture {
  Network network;
  Parameters<double> parameters{network, 3};
  Cpu<double> cpu{{.seed = 3}};

  std::vector<std::vector<double>> train(std::uint64_t seed, Index tokens = 4) {
    Values<double> x({tokens, 4}, seed);
    Recording ex(cpu);
    std::vector<std::vector<double>> all;
    for (const auto& z : network.forward(ex, x.constant())) all.emplace_back(z.begin(), z.end());
    return all;
  }
};

}  // namespace

TEST_CASE("all-to-all: the first layer sees the last one of the iteration before, the last sees only this iteration") {
  Fixture a, b;
  a.train(1);
  b.train(2, 7);  // another batch, of another size
  const auto after1 = a.train(9), after2 = b.train(9);
  CHECK(after1[0] != after2[0]);
  CHECK(after1[1] != after2[1]);
  Fixture fresh;
  CHECK(fresh.train(9)[0] != after1[0]);
  // With the layers before held equal the last layer has nothing of the past: it has no post-text term.
  for (const auto& state : a.parameters.states()) CHECK(state.name.find("layer2.posttext") == std::string::npos);
  CHECK(a.parameters["inhibition.layer2.pretext.layers.1.weight"].shape == Shape{3, 6});
  CHECK(a.parameters["inhibition.layer0.posttext.layer2.layer.weight"].shape == Shape{5, 3});
}

TEST_CASE("all-to-all: gradients of every parameter") {
  Fixture f;
  f.train(1);
  const auto kept = f.parameters.states();
  Values<double> x({4, 4}, 5);
  std::vector<Tensor<double>> inputs{x.variable()};
  for (const auto& entry : f.parameters.entries()) inputs.push_back(entry.tensor);
  check_gradient(inputs, [&](auto& ex) {
    for (std::size_t i = 0; i < kept.size(); ++i) f.parameters.states()[i].assign(kept[i].view());
    return f.network.forward(ex, x.variable()).back();
  });
}

TEST_CASE("all-to-all: a layer too many, and too few") {
  check_error<ConfigError>([] { AllToAll<double> one({5}); }, {"two layers"});
  Fixture f;
  Values<double> z({2, 6}, 1);
  Recording ex(f.cpu);
  auto pass = f.network.inhibition.begin(ex);
  Values<double> x({2, 4}, 2);
  Tensor<double> next = x.constant();
  for (const auto& layer : f.network.layers) next = pass.inhibit(layer(ex, next));
  check_error<ConfigError>([&] { (void)pass.inhibit(z.constant()); }, {"at most 3 layers", "one more"});
}
