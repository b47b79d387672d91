// Mutual-inform routers in a layer: entropy bounds, causality, decoding, options that stop gradients, bad input.

#include "attention/naive.hpp"
#include "policies/cases.hpp"

using namespace testing;

namespace {

using Similarity = SimilarityInform<LinearRouter>;
using Attention = AttentionInform<LinearRouter>;

template <class R, class M = TopM<2>>
using Informed = Layer<R, NoInhibition, M, Mlp<Tanh>>;

constexpr Index kLength = 40;

template <class L>
typename L::Config config_with(const auto& adjust) {
  typename L::Config config;
  adjust(config);
  return completed<L>(config);
}

/// The layer's output for tokens in two sequences of kLength.
template <class L>
MoeOutput<double> output_of(Cpu<double>& cpu, L& layer, Values<double>& x, Mask mask) {
  return layer.forward(cpu, x.constant(), {}, context_of(cpu, x.constant(), {.length = kLength, .mask = mask}));
}

template <class R>
void check_entropy_bounds(const auto& adjust) {
  using L = Informed<R>;
  L layer(config_with<L>(adjust));
  Parameters<double> parameters(layer, 3);
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    Cpu<double> cpu;
    Values<double> x({2 * kLength, kWidth}, 70 + seed, .5 + .5 * static_cast<double>(seed));
    const auto out = output_of(cpu, layer, x, Mask::causal);
    const Matrix p = matrix_of(out.router.scores), e = matrix_of(out.router.base_scores);
    // Σ_j s_ij H(e_j) is what the router would give for scores H(e_j): p is linear in e.
    for (Index i = 0; i < 2 * kLength; ++i) {
      const auto row = static_cast<std::size_t>(i);
      const double own = entropy_of(p[row]), weights = out.router.entropy[i];
      double least = INFINITY, most = 0;
      for (Index j = i / kLength * kLength; j <= i; ++j) {
        least = std::min(least, entropy_of(e[static_cast<std::size_t>(j)]));
        most = std::max(most, entropy_of(e[static_cast<std::size_t>(j)]));
      }
      CHECK(own <= most + weights + 1e-12);
      CHECK(own >= least - 1e-12);
      CHECK(inner(p[row], std::vector<double>(p[row].size(), 1)) == doctest::Approx(1));
    }
  }
}

/// Changes the last ten tokens of each sequence; returns whether any earlier result changed in any bit.
template <class R, class M = TopM<2>>
bool future_leaks(const auto& adjust, Mask mask = Mask::causal) {
  using L = Informed<R, M>;
  L layer(config_with<L>(adjust));
  Parameters<double> parameters(layer, 3);
  Values<double> x({2 * kLength, kWidth}, 71);
  Cpu<double> cpu;
  {
    Recording ex(cpu);  // a training step, so that averages exist
    (void)layer.forward(ex, x.constant(), {}, context_of(ex, x.constant(), {.length = kLength}));
  }
  cpu.begin_step();
  const auto read = [&](const MoeOutput<double>& out) {
    std::vector<double> early;
    for (Index i = 0; i < 2 * kLength; ++i) {
      if (i % kLength >= kLength - 10) continue;
      for (Index c = 0; c < kWidth; ++c) early.push_back(out.y(i, c));
      for (Index k = 0; k < kExperts; ++k) early.push_back(out.router.scores(i, k));
    }
    return early;
  };
  const auto before = read(output_of(cpu, layer, x, mask));
  Values<double> changed = x;
  for (Index i = 0; i < 2 * kLength; ++i)
    if (i % kLength >= kLength - 10)
      for (Index c = 0; c < kWidth; ++c) changed.values[static_cast<std::size_t>(i * kWidth + c)] *= -3;
  return read(output_of(cpu, layer, changed, mask)) != before;
}

/// Gradients with weights that flow and with weights that hold: the base router's are the same, the input's are not.
template <class Router>
void check_held_weights() {
  using L = Informed<Router>;
  L flowing(config_with<L>([](auto&) {})), held(config_with<L>([](auto& c) { c.router.through_weights = false; }));
  std::vector<std::vector<double>> inputs, routers;
  for (L* layer : {&flowing, &held}) {
    Parameters<double> parameters(*layer, 3);
    Values<double> x({kTokens, kWidth}, 51);
    Cpu<double> cpu;
    Recording ex(cpu);
    const auto out = layer->forward(ex, x.variable(), {}, context_of(ex, x.variable()));
    ex.backward(linear(ex, out.y.reshaped({1, out.y.size()}), Values<double>({1, out.y.size()}, 1).constant()));
    inputs.push_back(x.gradients);
    const auto& weight = parameters["router.base.score.weight"];
    routers.emplace_back(weight.gradient, weight.gradient + weight.size());
  }
  CHECK(routers[0] == routers[1]);
  CHECK(inputs[0] != inputs[1]);
}

}  // namespace

TEST_CASE("Proposition 1: entropies of p_i lie between the least H(e_j) and the largest plus H(s_i)") {
  check_entropy_bounds<Similarity>([](auto&) {});
  check_entropy_bounds<Similarity>([](auto& c) { c.router.temperature = .1; });
  check_entropy_bounds<Attention>([](auto&) {});
  check_entropy_bounds<Attention>([](auto& c) { c.router.choice = HeadChoice::all; });
}

TEST_CASE("Proposition 1, exactly: Σ_j s_ij H(e_j) ≤ H(p_i) ≤ Σ_j s_ij H(e_j) + H(s_i)") {
  constexpr Index kRows = 60;
  Cpu<double> cpu;
  for (const double temperature : {.1, 1.0, 4.0}) {
    Values<double> u({kRows, kWidth}, 5), scores({kRows, kExperts}, 6, 2);
    const auto e = softmax(cpu, scores.constant());
    Values<double> entropies({kRows, 1}, 0);
    for (Index j = 0; j < kRows; ++j)
      entropies.values[static_cast<std::size_t>(j)] = entropy_of(matrix_of(e)[static_cast<std::size_t>(j)]);
    const Sequences sequences{kRows};
    const auto p = attention<Cpu<double>>(cpu, u.constant(), u.constant(), e, sequences, 1, 1 / temperature);
    const auto mean =
        attention<Cpu<double>>(cpu, u.constant(), u.constant(), entropies.constant(), sequences, 1, 1 / temperature);
    for (Index i = 0; i < kRows; ++i) {
      const double own = entropy_of(matrix_of(p.y)[static_cast<std::size_t>(i)]);
      CHECK(own >= mean.y[i] - 1e-12);
      CHECK(own <= mean.y[i] + p.entropy[i] + 1e-12);
    }
  }
}

TEST_CASE("no token's result depends on later tokens, in every causal configuration") {
  const auto plain = [](auto&) {};
  CHECK_FALSE(future_leaks<Similarity>(plain));
  CHECK_FALSE(future_leaks<Similarity>([](auto& c) { c.router.learned = true; }));
  CHECK_FALSE(future_leaks<Similarity>([](auto& c) { c.router.compare = SimilarityOf::raw; }));
  CHECK_FALSE(future_leaks<Similarity>([](auto& c) { c.router.compare = SimilarityOf::normalised; }));
  CHECK_FALSE(future_leaks<SimilarityInform<XMoeRouter>>(plain));
  CHECK_FALSE(future_leaks<SimilarityInform<HashRouter>>(plain));
  CHECK_FALSE(future_leaks<Similarity, Dense>(plain));
  CHECK_FALSE(future_leaks<Similarity, TopP<3>>(plain));
  CHECK_FALSE(future_leaks<Similarity, BalancedTopM<2>>(plain));
  CHECK_FALSE(future_leaks<Attention>(plain));
  CHECK_FALSE(future_leaks<Attention>([](auto& c) { c.router.choice = HeadChoice::frozen; }));
  CHECK_FALSE(future_leaks<Attention>([](auto& c) { c.router.choice = HeadChoice::all; }));
}

TEST_CASE("the papers' literal reading, and expert choice, do look at later tokens") {
  const auto plain = [](auto&) {};
  CHECK(future_leaks<Similarity>(plain, Mask::none));
  CHECK(future_leaks<Attention>(plain, Mask::none));
  CHECK(future_leaks<LinearRouter, ExpertChoice<2>>(plain));
}

TEST_CASE("weights that hold no gradient leave that of the base router as it is") {
  check_held_weights<Similarity>();
  check_held_weights<Attention>();
}

TEST_CASE("a token that only sees itself keeps its own expert probabilities") {
  using L = Informed<Similarity>;
  L layer(config_with<L>([](auto&) {}));
  Parameters<double> parameters(layer, 3);
  Values<double> x({kTokens, kWidth}, 51);
  const std::vector<int> documents{0, 0, 1, 0, -1, -1};
  Cpu<double> cpu;
  auto context = context_of(cpu, x.constant());
  context.sequences.document = {documents.data(), {kTokens}};
  const auto out = layer.forward(cpu, x.constant(), {}, context);
  for (const Index token : {0, 2, 3, 4, 5})
    for (Index k = 0; k < kExperts; ++k)
      CHECK(out.router.scores(token, k) == doctest::Approx(out.router.base_scores(token, k)).epsilon(1e-14));
  CHECK(out.router.scores(1, 0) != out.router.base_scores(1, 0));
  CHECK(out.router.self_weight[5] == doctest::Approx(1));
  CHECK(out.router.entropy[5] == doctest::Approx(0));
}

TEST_CASE("at an infinite temperature a token takes over the mean of all that it sees") {
  constexpr Index kRows = 7;
  Similarity::Module<double> router({.temperature = INFINITY}, kWidth, kExperts);
  const Parameters<double> parameters(router, 3);
  Cpu<double> cpu;
  Values<double> x({kRows, kWidth}, 1);
  TokenContext<double> context;
  context.sequences.length = kRows;
  const auto p = router.scores(cpu, x.constant(), x.constant(), context);
  for (Index k = 0; k < kExperts; ++k) {
    double sum = 0;
    for (Index i = 0; i < kRows; ++i) {
      sum += p.base_scores(i, k);
      CHECK(p.scores(i, k) == doctest::Approx(sum / static_cast<double>(i + 1)).epsilon(1e-12));
      CHECK(p.entropy[i] == doctest::Approx(std::log(static_cast<double>(i + 1))).epsilon(1e-12));
    }
  }
  CHECK_FALSE(analyse(cpu, inform_means(cpu, p)).degenerate());
}

TEST_CASE("routing in which each token listens to itself alone is told") {
  constexpr Index kRows = 40;
  for (const auto& [temperature, alone] : {std::pair{.05, true}, std::pair{20., false}}) {
    Similarity::Module<double> router({.temperature = temperature}, kWidth, kExperts);
    const Parameters<double> parameters(router, 3);
    Cpu<double> cpu;
    Values<double> x({kRows, kWidth}, 1, 2);
    TokenContext<double> context;
    context.sequences.length = kRows;
    const InformAnalysis analysis =
        analyse(cpu, inform_means(cpu, router.scores(cpu, x.constant(), x.constant(), context)));
    CHECK(analysis.degenerate() == alone);
    CHECK((analysis.text().find("raise the temperature") != std::string::npos) == alone);
    CHECK(analysis.neighbours >= 1);
    CHECK(analysis.self_weight <= 1);
  }
  Cpu<double> cpu;
  check_error<ConfigError>([&] { (void)inform_means(cpu, RouterOutput<double>{}); }, {"SimilarityInform"});
  CHECK(InformAnalysis{NAN, NAN}.degenerate());
}

TEST_CASE("what mutual-inform routing cannot work with is said") {
  check_error<ConfigError>(
      [] { Informed<Similarity> layer(config_with<Informed<Similarity>>([](auto& c) { c.router.temperature = 0; })); },
      {"temperature τ > 0"});
  check_error<ConfigError>(
      [] { Informed<Attention> layer(config_with<Informed<Attention>>([](auto& c) { c.router.deviation = -1; })); },
      {"deviation σ > 0"});
  using L = Informed<Attention>;
  L layer(config_with<L>([](auto& c) {
    c.router.choice = HeadChoice::frozen;
    c.router.head = 2;
  }));
  Parameters<double> parameters(layer, 3);
  Values<double> x({kTokens, kWidth}, 51);
  Cpu<double> cpu;
  check_error<ConfigError>([&] { (void)layer.forward(cpu, x.constant()); }, {"attention before the layer"});
  auto context = context_of(cpu, x.constant());
  check_error<ConfigError>([&] { (void)layer.forward(cpu, x.constant(), {}, context); }, {"a head from 0 to 1"});
  context.sequences.length = 4;
  check_error<ShapeError>([&] { (void)layer.forward(cpu, x.constant(), {}, context); }, {"whole sequences of 4"});
  using S = Informed<Similarity>;
  S similar(config_with<S>([](auto& c) { c.router.compare = SimilarityOf::raw; }));
  Parameters<double> others(similar, 3);
  context.sequences.length = 3;
  context.raw = {};
  check_error<ConfigError>([&] { (void)similar.forward(cpu, x.constant(), {}, context); }, {"TokenContext::raw"});
  using H = Informed<HashRouter>;
  H hashed(config_with<H>([](auto&) {}));
  Parameters<double> none(hashed, 3);
  check_error<ConfigError>([&] { (void)hashed.forward(cpu, x.constant()); }, {"TokenContext::ids"});
}
