// Every layer gated by every other: gradients, and which layer depends on which.

#include "support.hpp"

using namespace testing;

namespace {

struct Network {
  std::vector<nn::Linear<double>> layers{{4, 5}, {5, 6}, {6, 3}};
  AllToAll<double> inhibition{{5, 6, 3}};

  void visit(auto&& v) {
    v("layers", layers);
    v("inhibition", inhibition);
  }
  /// z* of each layer.
  std::vector<Tensor<double>> forward(auto& ex, Tensor<double> x) {
    std::vector<Tensor<double>> gated;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      gated.push_back(inhibition.inhibit(ex, i, layers[i](ex, x)));
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
  std::vector<Buffer<double>> kept;
  for (const auto& state : f.parameters.states()) kept.push_back(*state.buffer);
  Values<double> x({4, 4}, 5);
  std::vector<Tensor<double>> inputs{x.variable()};
  for (const auto& entry : f.parameters.entries()) inputs.push_back(entry.tensor);
  check_gradient(inputs, [&](auto& ex) {
    for (std::size_t i = 0; i < kept.size(); ++i) *f.parameters.states()[i].buffer = kept[i];
    return f.network.forward(ex, x.variable()).back();
  });
}

TEST_CASE("all-to-all: layers out of turn, and too few") {
  check_error<ConfigError>([] { AllToAll<double> one({5}); }, {"two layers"});
  Fixture f;
  Values<double> z({2, 6}, 1);
  Recording ex(f.cpu);
  check_error<ConfigError>([&] { (void)f.network.inhibition.inhibit(ex, 1, z.constant()); }, {"layer 0", "layer 1"});
}
