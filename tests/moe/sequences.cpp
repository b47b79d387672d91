// What a block routes by when it attends both ways, and sequences and caches that nobody set.

#include "support.hpp"

using namespace testing;

namespace {

using Informed = MoeLayer<SimilarityInform<LinearRouter>, NoInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>;
using Model = LanguageModel<MoeLayer<LinearRouter, NoInhibition, TopM<2>, Mlp<Relu>, Cpu<float>>>;

constexpr Index kTokens = 5, kWidth = 6;

/// The expert probabilities that a block routes by.
std::vector<double> routed_by(const TransformerOptions& options, Mask attention) {
  const Informed::Config moe{.width = kWidth, .experts = 3, .hidden = {4}};
  TransformerBlock<Informed> block(options, &moe);
  Parameters<double> parameters(block, 3);
  Values<double> x({kTokens, kWidth}, 4);
  Cpu<double> cpu;
  const auto scores = block.forward(cpu, x.constant(), {.length = kTokens, .mask = attention}).moe.router.scores;
  return {scores.begin(), scores.end()};
}

Model::Config small() {
  return {.vocabulary = 9,
          .positions = 4,
          .blocks = 1,
          .block = {.width = 6, .heads = 2},
          .moe = {.width = 6, .experts = 3}};
}

}  // namespace

TEST_CASE("routing sees what the attention sees, unless a mask of its own is set") {
  const TransformerOptions own{.width = kWidth, .heads = 2};
  TransformerOptions causal = own, all = own;
  causal.routing_mask = Mask::causal;
  all.routing_mask = Mask::none;
  CHECK(routed_by(own, Mask::none) == routed_by(all, Mask::none));
  CHECK(routed_by(own, Mask::none) != routed_by(causal, Mask::none));
  CHECK(routed_by(own, Mask::causal) == routed_by(causal, Mask::causal));
  CHECK(routed_by(own, Mask::causal) != routed_by(all, Mask::causal));
}

TEST_CASE("an infinite temperature averages over the tokens that are seen") {
  using L = MoeLayer<SimilarityInform<LinearRouter>, NoInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>;
  L layer({.width = kWidth, .experts = 3, .router = {.temperature = INFINITY}});
  Parameters<double> parameters(layer, 3);
  Values<double> x({kTokens, kWidth}, 4);
  Cpu<double> cpu;
  TokenContext<double> context;
  context.sequences = {.length = kTokens};
  const auto router = layer.forward(cpu, x.constant(), {}, context).router;
  for (Index k = 0; k < 3; ++k) {
    double sum = 0;
    for (Index i = 0; i < kTokens; ++i) {
      sum += router.base_scores(i, k);
      CHECK(router.scores(i, k) == doctest::Approx(sum / static_cast<double>(i + 1)).epsilon(1e-13));
    }
  }
  for (Index i = 0; i < kTokens; ++i) CHECK(router.self_weight[i] == doctest::Approx(1.0 / static_cast<double>(i + 1)));
  Values<double> q({2, 2}, 1);
  for (const double scale : {double{INFINITY}, double{NAN}})
    check_error<ConfigError>(
        [&] { (void)attention<Cpu<double>>(cpu, q.constant(), q.constant(), q.constant(), {.length = 2}, 1, scale); },
        {"a finite scale"});
}

TEST_CASE("sequences without a length, and caches that no model made, are errors") {
  Model model(small());
  Parameters<float> parameters(model, 3);
  Cpu<float> cpu;
  const std::vector<int> ids{1, 2, 3, 4};
  const View<const int> words{ids.data(), {4}};
  const std::vector<std::string> lengthless{"at least one token", "length 0", "Sequences::length"};
  check_error<ConfigError>([&] { (void)model.forward(cpu, words, {}); }, lengthless);
  check_error<ConfigError>([&] { (void)model.loss(cpu, words, words, {}); }, lengthless);
  check_error<ShapeError>([&] { (void)model.forward(cpu, words, {.length = 3}); }, {"whole sequences of 3", "4 rows"});
  check_error<ShapeError>([&] { (void)model.forward(cpu, {}, {.length = 3}); }, {"at least one"});
  Model::Cache none;
  check_error<ConfigError>([&] { (void)model.decode(cpu, words, none); }, {"make_cache", "0 texts"});
  check_error<ConfigError>([&] { model.prefill(cpu, words, none); }, {"make_cache"});
  check_error<ConfigError>([&] { (void)model.forward(cpu, words, {.length = 4}, {.cache = &none}); }, {"make_cache"});

  Values<float> table({9, 6}, 1), x({4, 6}, 2);
  check_error<ShapeError>([&] { (void)embedding<Cpu<float>>(cpu, table.constant(), {}, words, 0); },
                          {"whole sequences", "sequences of 0"});
  check_error<ShapeError>([&] { (void)embedding<Cpu<float>>(cpu, table.constant(), {}, words, 3); }, {"4 ids"});
  nn::Attention<float> attention(6, 2);
  Parameters<float> weights(attention, 3);
  nn::AttentionCache<float> cache;
  check_error<ConfigError>([&] { (void)attention(cpu, x.constant(), {}); }, lengthless);
  check_error<ConfigError>([&] { (void)attention(cpu, x.constant(), {}, &cache); }, lengthless);
  check_error<ConfigError>([&] { (void)attention(cpu, x.constant(), {.length = 4}, &cache); }, {"at most 0 tokens"});
  check_error<ConfigError>([&] { append<Cpu<float>>(cpu, x.constant(), cache.keys, {}); }, lengthless);
  TransformerBlock<MoeLayer<LinearRouter>> block({.width = 6, .heads = 2, .hidden = 4}, nullptr);
  Parameters<float> of_block(block, 3);
  check_error<ConfigError>([&] { (void)block.forward(cpu, x.constant(), {}); }, lengthless);
}
