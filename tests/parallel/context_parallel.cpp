#include "ranks.hpp"

using namespace neuroinhib;
using testing::check_error;
using testing::distance;
using testing::kRounding;
using testing::Many;
using testing::world;

namespace {

constexpr Index kLength = 13;

/// Parameters and losses after some steps of a language model on one long text.
template <class Layer, class B>
std::vector<typename B::Scalar> learn(B& backend) {
  using T = typename B::Scalar;
  using Model = LanguageModel<Layer>;
  typename Model::Config config{
      .vocabulary = 11, .positions = kLength, .blocks = 2, .block = {.width = 8, .heads = 2, .dropout = .1}};
  config.moe = {.width = 8, .experts = 4, .hidden = {8}, .auxiliary = {.balance = .1}};
  Model model(config);
  Parameters<T> parameters(model, 3);
  Sgd<T> sgd(parameters, {.learning_rate = .2});
  std::vector<int> ids, labels;
  for (int i = 0; i < kLength; ++i) {
    ids.push_back(i * 7 % 11);
    labels.push_back(i % 4 == 1 ? -1 : i * 3 % 11);
  }
  std::vector<T> result;
  for (Index step = 0; step < 3; ++step) {
    const Sequences sequences = spread_sequence(backend, kLength);
    const Index rows = sequences.rows();
    Recording ex(backend);
    const auto loss =
        model.loss(ex, {ids.data() + sequences.past, {rows}}, {labels.data() + sequences.past, {rows}}, sequences);
    ex.backward(loss.total);
    sgd.step(backend, parameters);
    Tensor<T> part = loss.total.detached();
    result.push_back(all_reduce(backend, part.reshaped({1}))[0]);
  }
  result.insert(result.end(), parameters.values().begin(), parameters.values().end());
  return result;
}

template <class Layer>
void check_spread_text() {
  using T = typename Layer::Scalar;
  Many<T> many(*world(), CpuOptions{.seed = 7});
  Cpu<T> one({.seed = 7});
  const auto a = learn<Layer>(many), b = learn<Layer>(one);
  REQUIRE(a.size() == b.size());
  CHECK(distance(a.data(), b.data(), static_cast<Index>(a.size())) < kRounding<T>);
}

template <class Router, class T>
using LayerOf = MoeLayer<Router, NoInhibition, TopM<2>, Mlp<Tanh>, Cpu<T>>;

}  // namespace

TEST_CASE("one text over all ranks: attention and both informed routers learn what they learn in one process") {
  check_spread_text<LayerOf<AttentionInform<LinearRouter>, double>>();
  check_spread_text<LayerOf<SimilarityInform<LinearRouter>, double>>();
}

TEST_CASE("sequences that cannot lie over ranks are refused with a sentence") {
  Many<double> many(*world());
  testing::Values<double> x({4, 6}, 1);
  const auto attend = [&](const Sequences& sequences) {
    nn::Attention<double> layer(6, 2);
    const Parameters<double> parameters(layer, 1);
    (void)layer(many, x.constant(), sequences);
  };
  check_error<ConfigError>([&] { attend({.length = 2, .spread = 4}); },
                           {"one causal sequence over all ranks", "got 2"});
  check_error<ConfigError>([&] { attend({.length = 4, .mask = Mask::none, .spread = 8}); }, {"not causal"});
  Cpu<double> one;
  check_error<ConfigError>([&] { (void)gather_sequence(one, x.constant(), {.length = 4, .spread = 8}); },
                           {"a backend of several ranks"});
}
