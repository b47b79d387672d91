// Padding (documents or labels below zero) counts in no loss, load or pool: a batch with padding behind it trains as
// the batch without.

#include "support.hpp"

using namespace testing;

namespace {

constexpr Index kTokens = 6, kPadded = 9, kWidth = 5, kExperts = 4;

/// What a step leaves behind that tokens which do not count must not change.
struct Outcome {
  double auxiliary = 0;
  std::vector<double> output;  ///< of the tokens that count, two steps on
  std::vector<std::vector<double>> gradients, states;
};

/// Two training steps on tokens that count and, if `padded`, others behind them.
template <class Layer>
Outcome train(typename Layer::Config config, bool padded) {
  config.width = kWidth;
  config.experts = kExperts;
  config.hidden = {3};
  Layer layer(config);
  Parameters<double> parameters(layer, 3);
  Cpu<double> cpu({.seed = 4});
  const Index rows = padded ? kPadded : kTokens;
  std::vector<int> documents(static_cast<std::size_t>(rows), 0);
  std::fill(documents.begin() + kTokens, documents.end(), -1);
  Outcome outcome;
  for (std::uint64_t step = 0; step < 2; ++step) {
    Values<double> x({kPadded, kWidth}, 40 + step, 2);
    for (std::size_t i = kTokens * kWidth; i < x.values.size(); ++i) x.values[i] *= 30;  // what would win a maximum
    x.values.resize(static_cast<std::size_t>(rows * kWidth));
    x.shape = {rows, kWidth};
    parameters.zero_gradients();
    Recording ex(cpu);
    TokenContext<double> context;
    context.sequences = {.length = rows, .document = {documents.data(), {rows}}};
    if (!padded) context.sequences.document = {};
    const auto out = layer.forward(ex, x.constant(), {}, context);
    if (out.auxiliary.defined()) {
      outcome.auxiliary = out.auxiliary[0];
      ex.backward(out.auxiliary);
      (void)parameters.gradients();
      for (const auto& entry : parameters.entries()) outcome.gradients.push_back(parameters.gradient_of(entry));
    }
    outcome.output.assign(out.y.data, out.y.data + kTokens * kWidth);
  }
  for (const auto& state : parameters.states())
    if (state.name.ends_with("bias") || state.name.ends_with("signal"))
      outcome.states.push_back(state.values.to_host());
  return outcome;
}

template <class Layer>
void check_padding(const typename Layer::Config& config) {
  const Outcome with = train<Layer>(config, true), without = train<Layer>(config, false);
  CHECK(with.auxiliary == doctest::Approx(without.auxiliary).epsilon(1e-13));
  CHECK(testing::distance(with.output.data(), without.output.data(), kTokens * kWidth) < 1e-13);
  REQUIRE(with.gradients.size() == without.gradients.size());
  for (std::size_t i = 0; i < with.gradients.size(); ++i)
    CHECK(testing::distance(with.gradients[i].data(), without.gradients[i].data(),
                            static_cast<Index>(with.gradients[i].size())) < 1e-12);
  CHECK(with.states == without.states);
}

template <class Mix, class Inhibition = NoInhibition>
using Layer = MoeLayer<LinearRouter, Inhibition, Mix, Mlp<Tanh>, Cpu<double>>;

}  // namespace

TEST_CASE("padding counts in no auxiliary loss: importance, balance, z, load") {
  SUBCASE("importance") {
    check_padding<Layer<TopM<2>>>({.auxiliary = {.importance = 1}});
  }
  SUBCASE("balance") {
    check_padding<Layer<TopM<2>>>({.auxiliary = {.balance = 1}});
  }
  SUBCASE("z") {
    check_padding<Layer<TopM<2>>>({.auxiliary = {.z = 1}});
  }
  SUBCASE("all, with slots without an expert") {
    check_padding<Layer<TopP<3>>>({.auxiliary = {.importance = .5, .balance = .3, .z = .1}, .mix = {.p = .6}});
  }
  SUBCASE("load") {
    check_padding<Layer<NoisyTopK<2>>>({.mix = {.load_weight = 1}});
  }
}

TEST_CASE("padding moves no bias, and takes no place with an expert that chooses") {
  check_padding<Layer<BalancedTopM<2>>>({});
  check_padding<Layer<BalancedTopM<1>>>({.mix = {.sigmoid = true}});
  using Choosing = Layer<ExpertChoice<2>>;
  for (const double capacity : {.3, .6}) {
    const auto experts_of = [&](bool padded) {
      Choosing layer({.width = kWidth, .experts = kExperts, .mix = {.capacity = padded ? capacity * 6 / 9 : capacity}});
      Parameters<double> parameters(layer, 3);
      Values<double> x({padded ? kPadded : kTokens, kWidth}, 4);
      std::vector<int> documents{0, 0, 0, 0, 0, 0, -1, -1, -1};
      TokenContext<double> context;
      if (padded) context.sequences = {.length = kPadded, .document = {documents.data(), {kPadded}}};
      Cpu<double> cpu;
      const auto out = layer.forward(cpu, x.constant(), {}, context);
      const auto& expert = out.routing.plan.expert;
      if (padded) CHECK(expert[kTokens * 2] == kExperts);
      return std::vector<int>(expert.begin(), expert.begin() + kTokens * 2);
    };
    CHECK(experts_of(true) == experts_of(false));
  }
}

TEST_CASE("padding is not pooled by post-text inhibition") {
  for (const Pooling pooling : {Pooling::max, Pooling::mean}) {
    Layer<TopM<2>, PosttextInhibition>::Config config;
    config.inhibition.pooling = pooling;
    check_padding<Layer<TopM<2>, PosttextInhibition>>(config);
  }
}

TEST_CASE("a batch without padding after one with it pools all its rows again") {
  Layer<TopM<2>, PosttextInhibition> layer({.width = kWidth, .experts = kExperts});
  Parameters<double> parameters(layer, 3);
  Cpu<double> cpu;
  Values<double> x({kTokens, kWidth}, 5);
  const std::vector<int> documents{0, 0, 0, 0, 0, -1};
  const auto marks_after = [&](const View<const int>& document) {
    TokenContext<double> context;
    context.sequences = {.length = kTokens, .document = document};
    Recording ex(cpu);
    (void)layer.forward(ex, x.constant(), {}, context);
    for (const auto& state : parameters.states())
      if (state.name == "inhibition.posttext.counted") return state.values.to_host();
    return std::vector<double>{};
  };
  CHECK(marks_after({documents.data(), {kTokens}}) == std::vector<double>{1, 1, 1, 1, 1, 0, 5});
  CHECK(marks_after({}) == std::vector<double>{1, 1, 1, 1, 1, 1, 6});
}

TEST_CASE("labels below zero leave tokens out of a language model's auxiliary losses") {
  using Model = LanguageModel<MoeLayer<LinearRouter, NoInhibition, TopM<2>, Mlp<Relu>, Cpu<double>>>;
  Model model(
      {.vocabulary = 11,
       .positions = 4,
       .blocks = 2,
       .block = {.width = 6, .heads = 2},
       .moe = {.width = 6, .experts = 3, .hidden = {5}, .auxiliary = {.importance = .3, .balance = .2, .z = .1}}});
  Parameters<double> parameters(model, 3);
  std::vector<int> ids{1, 5, 2, 7, 9, 9, 9, 9}, labels{5, 2, 7, 3, -1, -1, -1, -1};
  const auto total = [&](Index rows) {
    Cpu<double> cpu;
    return model.loss(cpu, {ids.data(), {rows}}, {labels.data(), {rows}}, {.length = 4}).total[0];
  };
  CHECK(total(8) == doctest::Approx(total(4)).epsilon(1e-13));
}

TEST_CASE("marks of another batch are refused") {
  Cpu<double> cpu;
  Values<double> x({3, 4}, 1);
  const std::vector<int> documents{0, -1};
  const auto counted = count_tokens(cpu, 2, {documents.data(), {2}});
  CHECK(counted.number(2) == 1);
  check_error<ShapeError>([&] { (void)z_loss(cpu, x.constant(), counted); }, {"z-loss", "marks of 3", "got 2"});
  check_error<ShapeError>([&] { (void)count_tokens(cpu, 3, {documents.data(), {2}}); }, {"each of 3 tokens", "got 2"});
}

TEST_CASE("padding, which sees itself alone, is left out of what is said of informed routing") {
  using L = MoeLayer<SimilarityInform<LinearRouter>, NoInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>;
  L layer({.width = kWidth, .experts = kExperts});
  Parameters<double> parameters(layer, 3);
  Cpu<double> cpu;
  Values<double> x({kPadded, kWidth}, 4, .5);
  const std::vector<int> documents{0, 0, 0, 0, 0, 0, -1, -1, -1};
  const auto means_of = [&](Index rows) {
    TokenContext<double> context;
    context.sequences = {.length = rows, .document = {documents.data(), {rows}}};
    std::vector<double> values(x.values.begin(), x.values.begin() + rows * kWidth);
    const auto scores = layer.forward(cpu, tensor(values, {rows, kWidth}), {}, context).router;
    return analyse(cpu, inform_means(cpu, scores, count_tokens(cpu, rows, context.sequences.document)));
  };
  CHECK(means_of(kPadded).self_weight == doctest::Approx(means_of(kTokens).self_weight).epsilon(1e-13));
  CHECK(means_of(kPadded).neighbours == doctest::Approx(means_of(kTokens).neighbours).epsilon(1e-13));
}
