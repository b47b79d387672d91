// The post-text memory: what it keeps, when it acts, and that no gradient passes through it.

#include "support.hpp"

using namespace testing;

namespace {

using L = MoeLayer<TwoLayerRouter<Tanh>, PosttextInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>;

struct Fixture {
  L layer;
  Parameters<double> parameters;
  Cpu<double> cpu;

  explicit Fixture(const PosttextInhibition::Config& inhibition = {})
      : layer({.width = 5, .experts = 3, .hidden = {4}, .router = {.hidden = 6}, .inhibition = inhibition}),
        parameters(layer, 8) {}

  /// The gate's mask for a batch of random tokens.
  std::vector<double> train(Index tokens, std::uint64_t seed) {
    Recording ex(cpu);
    return mask(ex, tokens, seed);
  }
  std::vector<double> evaluate(Index tokens, std::uint64_t seed) {
    cpu.begin_step();
    return mask(cpu, tokens, seed);
  }
  ModuleState<double>& memory(const std::string& part) {
    for (auto& state : parameters.states())
      if (state.name == "inhibition.posttext." + part) return state;
    FAIL("no state " << part);
    return parameters.states()[0];
  }

 private:
  std::vector<double> mask(auto& ex, Index tokens, std::uint64_t seed) {
    Values<double> x({tokens, 5}, seed);
    const auto mask = layer.forward(ex, x.constant()).inhibited.mask;
    return {mask.begin(), mask.end()};
  }
};

PosttextInhibition::Config with(PosttextEvaluation evaluation, Pooling pooling = Pooling::max) {
  PosttextInhibition::Config config;
  config.evaluation = evaluation;
  config.pooling = pooling;
  return config;
}

}  // namespace

TEST_CASE("in iteration 0 there is no memory, then the batch before is remembered, of whatever size") {
  Fixture f, plain(with(PosttextEvaluation::off));
  CHECK(f.train(4, 1) == plain.train(4, 1));
  CHECK(f.memory("hidden.training").shape == Shape{4, 6});
  CHECK(f.memory("output.training").shape == Shape{4, 5});
  const auto first = f.train(7, 2);
  CHECK(first != f.train(7, 2));
  CHECK(f.memory("mask.training").shape == Shape{7, 6});
}

TEST_CASE("the remembered activation is the one that was seen, and it carries no gradient") {
  Fixture f;
  Values<double> x({4, 5}, 1);
  Recording ex(f.cpu);
  const auto out = f.layer.forward(ex, x.variable());
  auto& memory = f.memory("output.training");
  Buffer<double> handle;
  handle.bound = &memory;
  CHECK(distance(memory.values.data(), out.y.data, out.y.size()) == 0);
  const auto recalled = recall(ex, handle);
  CHECK(!recalled.wants_gradient());
}

TEST_CASE("no gradient reaches iteration k − 1: its input's gradient is the same whatever follows") {
  Fixture f;
  Values<double> x({4, 5}, 1), y({4, 5}, 2);
  const auto step = [&](Values<double>& tokens) {
    tokens.written = false;
    Recording ex(f.cpu);
    const auto out = f.layer.forward(ex, tokens.variable()).y;
    ex.backward(linear(ex, out.reshaped({1, out.size()}), Values<double>({1, out.size()}, 3).constant()));
  };
  step(x);
  const std::vector<double> before = x.gradients;
  step(y);
  CHECK(x.gradients == before);
  // …while the layer on the memory is trained by iteration k's loss.
  const auto& weight = f.parameters["inhibition.posttext.hidden.layer.weight"];
  REQUIRE(weight.has_gradient());
  CHECK(std::any_of(weight.gradient, weight.gradient + weight.size(), [](double g) { return g != 0; }));
}

TEST_CASE("evaluation: frozen, off, previous batch, average") {
  SUBCASE("frozen depends on nothing but its input, and leaves training alone") {
    Fixture f;
    f.train(4, 1);
    const auto a = f.evaluate(3, 5);
    f.evaluate(9, 6);
    CHECK(f.evaluate(3, 5) == a);
    CHECK(f.memory("hidden.training").shape == Shape{4, 6});
  }
  SUBCASE("off equals no memory") {
    Fixture f(with(PosttextEvaluation::off)), fresh;
    const auto without = fresh.evaluate(3, 5);
    f.train(4, 1);
    CHECK(f.evaluate(3, 5) == without);
  }
  SUBCASE("previous batch changes with what was evaluated before, never with training's memory") {
    Fixture f(with(PosttextEvaluation::previous_batch)), twin(with(PosttextEvaluation::previous_batch));
    f.train(4, 1);
    twin.train(4, 1);
    f.evaluate(3, 5);
    const auto after5 = f.evaluate(3, 5);
    f.evaluate(8, 6);
    CHECK(f.evaluate(3, 5) != after5);
    CHECK(f.train(4, 2) == twin.train(4, 2));
  }
  SUBCASE("average moves with training") {
    Fixture f(with(PosttextEvaluation::average));
    f.train(4, 1);
    f.train(4, 2);
    const auto a = f.evaluate(3, 5);
    CHECK(f.memory("signal").shape == Shape{1, 6});
    f.train(4, 3);
    CHECK(f.evaluate(3, 5) != a);
  }
}

TEST_CASE("frozen evaluation reads the signal that training pooled last, and no trained layer") {
  for (const Pooling pooling : {Pooling::max, Pooling::mean, Pooling::row}) {
    Fixture f(with(PosttextEvaluation::frozen, pooling));
    CHECK(f.evaluate(3, 5) == Fixture(with(PosttextEvaluation::off)).evaluate(3, 5));
    f.train(4, 1);
    const auto last = f.train(4, 2);
    CHECK(f.evaluate(4, 2) == last);
    const auto before = f.evaluate(3, 5);
    for (const auto& entry : f.parameters.entries())
      if (entry.name.starts_with("inhibition.posttext"))
        f.parameters.set_values(entry, std::vector<double>(static_cast<std::size_t>(entry.tensor.size()), NAN));
    CHECK(f.evaluate(3, 5) == before);
    Fixture loaded(with(PosttextEvaluation::frozen, pooling));  // another program, after loading the states
    for (std::size_t i = 0; i < f.parameters.states().size(); ++i)
      loaded.parameters.states()[i].assign(f.parameters.states()[i].view());
    CHECK(loaded.evaluate(3, 5) == before);
  }
}

TEST_CASE("row by row, row b is conditioned by row b, and a longer batch begins again") {
  Fixture f(with(PosttextEvaluation::frozen, Pooling::row));
  f.train(2, 1);
  f.train(2, 2);
  Values<double> same({4, 5}, 9);
  for (std::size_t i = 5; i < 20; ++i) same.values[i] = same.values[i % 5];
  f.cpu.begin_step();
  const auto mask = f.layer.forward(f.cpu, same.constant()).inhibited.mask;
  for (Index c = 0; c < 6; ++c) {
    CHECK(mask(0, c) == mask(2, c));
    CHECK(mask(1, c) == mask(3, c));
    CHECK(mask(0, c) != mask(1, c));
  }
}

TEST_CASE("start_after holds the term back for so many training iterations") {
  PosttextInhibition::Config config;
  config.start_after = 3;
  Fixture late(config), off(with(PosttextEvaluation::off));
  for (std::uint64_t k = 0; k < 3; ++k) {
    const auto a = late.train(4, k);
    Fixture fresh;
    CHECK(a == fresh.train(4, k));
  }
  Fixture fresh;
  CHECK(late.train(4, 3) != fresh.train(4, 3));
}

TEST_CASE("sources: tapped by name, of a stated width, or an error that says so") {
  PosttextInhibition::Config config;
  config.sources = {{"logits", 3}};
  Fixture f(config);
  Values<double> logits({4, 3}, 1), wrong({4, 2}, 1);
  Recording ex(f.cpu);
  f.layer.tap(ex, "logits", logits.constant());
  CHECK(f.memory("logits.training").values.to_host() == logits.values);
  check_error<ShapeError>([&] { f.layer.tap(ex, "logits", wrong.constant()); }, {"logits", "width 3", "[4, 2]"});
  config.sources = {{"loss"}};
  check_error<ConfigError>([&] { Fixture g(config); }, {"loss", "a width"});
  config.sources = {{std::string(tap::hidden)}, {std::string(tap::hidden)}};
  check_error<ConfigError>([&] { Fixture g(config); }, {"\"hidden\"", "each source once"});
  config.sources = {};
  check_error<ConfigError>([&] { Fixture g(config); }, {"at least one source"});
  check_error<ConfigError>([&] { Fixture g(with(PosttextEvaluation::average, Pooling::row)); }, {"row-by-row"});
}
