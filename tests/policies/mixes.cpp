// Mixes at the ends of the number range: who is chosen, and with which gates, where sigmoids saturate, probabilities
// underflow or scores are not numbers.

#include "support.hpp"

using namespace testing;

namespace {

template <class T>
struct Choice {
  std::vector<int> expert;
  std::vector<T> gates;
  std::vector<T> gradient;  ///< of Σ weights ⊙ gates, by the scores
};

/// What the mix makes of one token's scores in a training step.
template <class Mix, class T>
Choice<T> choice_of(const std::vector<T>& scores, const typename Mix::Config& config = {},
                    ScoreKind kind = ScoreKind::logits) {
  const auto experts = static_cast<Index>(scores.size());
  typename Mix::template Module<T> mix(config, {.hidden = 1, .experts = experts});
  Parameters<T> parameters(mix, 1);
  Values<T> values({1, experts}, 0), hidden({1, 1}, 0);
  values.values = scores;
  Cpu<T> cpu;
  Recording ex(cpu);
  const auto routing = mix.route(ex, RouterOutput<T>{values.variable(), hidden.constant()}, kind);
  Values<T> weights({1, routing.gates.cols()}, 2);
  ex.backward(linear(ex, routing.gates, weights.constant()).reshaped(Shape::scalar()));
  return {{routing.plan.expert.begin(), routing.plan.expert.end()},
          {routing.gates.begin(), routing.gates.end()},
          values.gradients};
}

template <class T>
bool all_finite(const std::vector<T>& values) {
  return std::all_of(values.begin(), values.end(), [](T value) { return std::isfinite(value); });
}

using Experts = std::vector<int>;

}  // namespace

TEST_CASE_TEMPLATE("saturated sigmoids: the largest logits are chosen, with even gates", T, float, double) {
  const std::vector<T> logits =
      sizeof(T) == 4 ? std::vector<T>{16, 30, 17, 40} : std::vector<T>{38, 60, 40, 80};  // σ is 1 for all
  for (const auto& choice :
       {choice_of<SigmoidTopM<2>>(logits), choice_of<BalancedTopM<2>>(logits, {.sigmoid = true})}) {
    CHECK(choice.expert == Experts{3, 1});
    CHECK(choice.gates == std::vector<T>{T(.5), T(.5)});
    CHECK(all_finite(choice.gradient));
  }
}

TEST_CASE_TEMPLATE("sigmoids that underflow: gates are finite, sum to one and keep their ratio", T, float, double) {
  const T lowest = sizeof(T) == 4 ? -104 : -746;  // e^lowest is zero
  const std::vector<T> logits{lowest - 3, lowest, lowest - 1, lowest - 900};
  for (const auto& choice :
       {choice_of<SigmoidTopM<2>>(logits), choice_of<BalancedTopM<2>>(logits, {.sigmoid = true})}) {
    CHECK(choice.expert == Experts{1, 2});
    CHECK(choice.gates[0] + choice.gates[1] == doctest::Approx(1));
    CHECK(choice.gates[0] / choice.gates[1] == doctest::Approx(std::exp(1.0)));
    CHECK(all_finite(choice.gradient));
    CHECK(choice.gradient[1] != 0);
  }
}

TEST_CASE("sigmoid gates are σ(r) over their sum") {
  const auto sigma = [](double r) { return 1 / (1 + std::exp(-r)); };
  for (const auto& choice : {choice_of<SigmoidTopM<2>, double>({.3, -1, 2, .4}),
                             choice_of<BalancedTopM<2>, double>({.3, -1, 2, .4}, {.sigmoid = true})}) {
    CHECK(choice.expert == Experts{2, 3});
    CHECK(choice.gates[0] == doctest::Approx(sigma(2) / (sigma(2) + sigma(.4))).epsilon(1e-13));
  }
}

TEST_CASE_TEMPLATE("probabilities that underflow are ranked by their logits", T, float, double) {
  const std::vector<T> logits{-9000, 5000, -8000, -7000};
  const Experts first_two{1, 3};
  CHECK(choice_of<TopM<2>>(logits).expert == first_two);
  CHECK(choice_of<SoftmaxOfTopM<2>>(logits).expert == first_two);
  CHECK(choice_of<SoftmaxOfTopProbabilities<2>>(logits).expert == first_two);
  CHECK(choice_of<ScheduledTopM>(logits, {.last = 2}).expert == first_two);
  CHECK(choice_of<BalancedTopM<2>>(logits).expert == first_two);
  CHECK(choice_of<Dense>(logits).expert == Experts{1, 3, 2, 0});
  CHECK(choice_of<TopP<2>>(logits, {.p = 1}).expert == Experts{1, 4});
  CHECK(choice_of<Switch>(std::vector<T>{-9000, 0, 0, 0}).expert == Experts{1});
  for (const auto& choice : {choice_of<TopM<2>>(logits), choice_of<BalancedTopM<2>>(logits),
                             choice_of<TopP<2>>(logits, {.p = 1, .renormalise = true})}) {
    CHECK(choice.gates == std::vector<T>{1, 0});
    CHECK(all_finite(choice.gradient));
  }
}

TEST_CASE("a scheduled top M with a bias evens the load as BalancedTopM does, and keeps its bias among the states") {
  BalancedTopM<2>::Module<float> balanced({.rate = .01}, {.hidden = 1, .experts = 4});
  ScheduledTopM::Module<float> scheduled({.first = 2, .last = 2, .bias_rate = .01}, {.hidden = 1, .experts = 4});
  Parameters<float> of_balanced(balanced, 1), of_scheduled(scheduled, 1);
  Values<float> scores({3, 4}, 0), hidden({3, 1}, 0);
  scores.values = {2, 1.9F, 1.8F, 0, 2, 1.8F, 1.7F, 0, 1.5F, 1.4F, 1.3F, 1};
  Cpu<float> cpu;
  int changes = 0;
  Experts first;
  for (int step = 0; step < 60; ++step) {
    Recording ex(cpu);
    const RouterOutput<float> router{scores.variable(), hidden.constant()};
    const auto one = balanced.route(ex, router, ScoreKind::logits),
               other = scheduled.route(ex, router, ScoreKind::logits);
    const auto chosen = [](const auto& routing) {
      return Experts(routing.plan.expert.begin(), routing.plan.expert.end());
    };
    CHECK(chosen(one) == chosen(other));
    for (Index i = 0; i < one.gates.size(); ++i) CHECK(one.gates.data[i] == doctest::Approx(other.gates.data[i]));
    if (step == 0) first = chosen(one);
    changes += chosen(one) != first;
  }
  CHECK(changes > 0);
  const auto bias_of = [](const Parameters<float>& parameters) {
    for (const auto& state : parameters.states())
      if (state.name == "bias") return std::vector<float>(state.values.data(), state.values.data() + 4);
    return std::vector<float>{};
  };
  CHECK(bias_of(of_scheduled).size() == 4);
  CHECK(bias_of(of_scheduled) == bias_of(of_balanced));
  ScheduledTopM::Module<float> plain({}, {.hidden = 1, .experts = 4});
  CHECK(Parameters<float>(plain, 1).states().size() == 1);
}

TEST_CASE("experts that a bias chose although their probabilities are zero get finite gates") {
  BalancedTopM<1>::Module<float> mix({}, {.hidden = 1, .experts = 3});
  Parameters<float> parameters(mix, 1);
  for (auto& state : parameters.states()) state.values.data()[2] = 9;
  for (const ScoreKind kind : {ScoreKind::logits, ScoreKind::probabilities}) {
    Values<float> scores({1, 3}, 0), hidden({1, 1}, 0);
    scores.values = {1, 0, kind == ScoreKind::logits ? -300.0F : 0};
    Cpu<float> cpu;
    Recording ex(cpu);
    const auto routing = mix.route(ex, RouterOutput<float>{scores.variable(), hidden.constant()}, kind);
    CHECK(routing.plan.expert[0] == 2);
    CHECK(routing.gates[0] == (kind == ScoreKind::logits ? 1.0F : 0.0F));
    ex.backward(routing.gates.reshaped(Shape::scalar()));
    CHECK(all_finite(scores.gradients));
  }
}

TEST_CASE("scores that are not numbers rank first, whichever expert they are of") {
  for (const int broken : {0, 1, 3}) {
    std::vector<float> logits{1, 4, 3, 2};
    logits[static_cast<std::size_t>(broken)] = NAN;
    const int next = broken == 1 ? 2 : 1;
    CHECK(choice_of<SoftmaxOfTopM<2>>(logits).expert == Experts{broken, next});
    CHECK(choice_of<SigmoidTopM<2>>(logits).expert == Experts{broken, next});
    CHECK(choice_of<NoisyTopK<2>>(logits).expert[0] == broken);
    CHECK(std::isnan(choice_of<SoftmaxOfTopM<2>>(logits).gates[1]));
    CHECK(choice_of<TopM<1>>(logits, {}, ScoreKind::probabilities).expert == Experts{broken});
    CHECK(choice_of<ExpertChoice<1>>(logits, {.capacity = 4}, ScoreKind::probabilities).expert == Experts{broken});
  }
  CHECK(choice_of<SoftmaxOfTopM<3>, float>({NAN, 1, NAN, 2}).expert == Experts{0, 2, 3});
}

TEST_CASE("the load loss of scores that are not numbers, and of deviations that underflow") {
  Cpu<float> cpu;
  Values<float> clean({2, 4}, 1), noisy = clean, scale({2, 4}, 0);
  noisy.values = {NAN, NAN, 1, NAN, 2, NAN, 1, 0};
  scale.values.assign(8, 1);
  for (Index chosen = 1; chosen < 4; ++chosen) {
    Recording ex(cpu);
    const auto loss = cv_squared(ex, smooth_load(ex, clean.variable(), noisy.variable(), scale.variable(), chosen));
    CHECK(std::isnan(loss[0]));
    ex.backward(loss);
  }
  noisy.values = clean.values = {1, 1, 1, 1, 2, 1, 1, 0};
  scale.values.assign(8, 0);
  Values<float> a({2, 4}, 0), b = a, c = a;
  a.values = b.values = clean.values;
  c.values.assign(8, 0);
  Recording ex(cpu);
  const auto loss = cv_squared(ex, smooth_load(ex, a.variable(), b.variable(), c.variable(), 2));
  CHECK(std::isfinite(loss[0]));
  ex.backward(loss);
  for (const auto* values : {&a, &b, &c}) CHECK(all_finite(values->gradients));
}

TEST_CASE("rows of zeros: normalised to zeros, without a gradient") {
  Cpu<float> cpu;
  for (const bool by_length : {false, true}) {
    Values<float> x({2, 3}, 0);
    x.values = {0, 0, 0, 1, 2, 1};
    Recording ex(cpu);
    const auto y = by_length ? l2_normalise(ex, x.variable()) : normalise(ex, x.variable());
    for (Index c = 0; c < 3; ++c) CHECK(y[c] == 0);
    ex.backward(linear(ex, y.reshaped({1, 6}), Values<float>({1, 6}, 2).constant()).reshaped(Shape::scalar()));
    for (std::size_t c = 0; c < 3; ++c) CHECK(x.gradients[c] == 0);
    CHECK(x.gradients[3] != 0);
    CHECK(all_finite(x.gradients));
  }
}

TEST_CASE("numbers that are not any win pools and heads, so that they show") {
  Cpu<float> cpu;
  for (const std::size_t broken : {0u, 1u, 2u}) {
    Values<float> x({3, 1}, 5);
    x.values[broken] = NAN;
    CHECK(std::isnan(batch_pool(cpu, x.constant(), Pooling::max)[0]));
    Values<float> entropies({1, 3}, 5);
    entropies.values[broken] = NAN;
    CHECK(lowest_head(cpu, entropies.constant())[0] == static_cast<int>(broken));
  }
}

TEST_CASE("a word's hash is defined for every id") {
  Cpu<float> cpu;
  std::vector<int> ids{-1, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()};
  for (Index choices = 1; choices <= 4; ++choices) {
    const auto scores = hash_scores(cpu, {ids.data(), {3}}, 4, choices, 7);
    for (Index row = 0; row < 3; ++row) {
      float total = 0;
      for (Index k = 0; k < 4; ++k) total += scores(row, k);
      CHECK(total == doctest::Approx(1));
    }
  }
}

TEST_CASE("mixes and inhibitions refuse options that cannot work when they are made") {
  const auto made = []<class Mix>(const typename Mix::Config& config) {
    typename Mix::template Module<float> mix(config, {.hidden = 1, .experts = 3});
  };
  const std::vector<std::string> too_many{"K = 3 experts", "got M = 4", "choose fewer"};
  check_error<ConfigError>([&] { made.template operator()<TopM<4>>({}); }, too_many);
  check_error<ConfigError>([&] { made.template operator()<SoftmaxOfTopM<4>>({}); }, too_many);
  check_error<ConfigError>([&] { made.template operator()<SoftmaxOfTopProbabilities<4>>({}); }, too_many);
  check_error<ConfigError>([&] { made.template operator()<SigmoidTopM<4>>({}); }, too_many);
  check_error<ConfigError>([&] { made.template operator()<BalancedTopM<4>>({}); }, too_many);
  check_error<ConfigError>([&] { made.template operator()<NoisyTopK<4>>({}); }, too_many);
  check_error<ConfigError>([&] { made.template operator()<TopP<4>>({}); }, too_many);
  check_error<ConfigError>([&] { made.template operator()<ExpertChoice<4>>({}); }, too_many);
  check_error<ConfigError>([&] { made.template operator()<ScheduledTopM>({.first = 1, .last = 4}); },
                           {"last between first and K = 3", "got 4"});
  constexpr Index kTooLong = (Index{1} << 24) + 1;  // a float does not count so far
  check_error<ConfigError>([&] { made.template operator()<ScheduledTopM>({.growth_steps = kTooLong}); },
                           {"growth_steps from 0 to 16777216", "got 16777217"});
  PosttextInhibition::Config late;
  late.start_after = kTooLong;
  check_error<ConfigError>([&] { PosttextInhibition::Module<float>(late, {4, 4, 4, 4}); }, {"start_after from 0"});
  PosttextInhibition::Module<double>(late, {4, 4, 4, 4});
  made.template operator()<TopM<3>>({});
  made.template operator()<Dense>({});
  check_error<ConfigError>([&] { made.template operator()<NoisyTopK<3>>({.load_weight = 1}); }, {"M < K = 3"});
  for (const double wrong : {-1.0, double{NAN}, double{INFINITY}}) {
    check_error<ConfigError>([&] { made.template operator()<NoisyTopK<2>>({.load_weight = wrong}); }, {"load_weight"});
    check_error<ConfigError>([&] { made.template operator()<BalancedTopM<2>>({.rate = wrong}); }, {"rate ≥ 0"});
    check_error<ConfigError>([&] { made.template operator()<ScheduledTopM>({.bias_rate = wrong}); }, {"bias_rate ≥ 0"});
    check_error<ConfigError>([&] { made.template operator()<TopP<2>>({.p = wrong}); }, {"(0, 1]"});
    check_error<ConfigError>([&] { made.template operator()<ExpertChoice<2>>({.capacity = wrong}); }, {"capacity > 0"});
    check_error<ConfigError>([&] { RandomInhibition::Module<float>({wrong}, {}); }, {"[0, 1)"});
    using L = MoeLayer<LinearRouter>;
    check_error<ConfigError>([&] { L({.width = 4, .experts = 3, .auxiliary = {.importance = wrong}}); },
                             {"auxiliary.importance ≥ 0", "0 turns the loss off"});
    check_error<ConfigError>([&] { L({.width = 4, .experts = 3, .auxiliary = {.balance = wrong}}); }, {".balance"});
    check_error<ConfigError>([&] { L({.width = 4, .experts = 3, .auxiliary = {.z = wrong}}); }, {".z"});
  }
  check_error<ConfigError>([] { XMoeRouter::Module<float>({.temperature = 0}, 5, 3); }, {"temperature > 0", "got 0"});
  check_error<ConfigError>([] { HashRouter::Module<float>({.choices = 4}, 5, 3); }, {"1 to 3 choices", "got 4"});
  check_error<ConfigError>([] { MoeLayer<HashRouter>({.width = 4, .experts = 3, .auxiliary = {.z = 1}}); },
                           {"gives probabilities", "auxiliary.z to 0"});
}

TEST_CASE("experts that choose tokens are told which tokens a sequence has, or nothing of sequences") {
  using Choosing = MoeLayer<LinearRouter, NoInhibition, ExpertChoice<2>, Mlp<Relu>, Cpu<float>>;
  Choosing layer({.width = 4, .experts = 3});
  Parameters<float> parameters(layer, 3);
  Cpu<float> cpu;
  Values<float> x({6, 4}, 1);
  std::vector<int> documents{0, 0, 0, 1, 1, -1};
  const auto forward = [&](const Sequences& sequences) {
    TokenContext<float> context;
    context.sequences = sequences;
    return layer.forward(cpu, x.constant(), {}, context);
  };
  const View<const int> six{documents.data(), {6}}, five{documents.data(), {5}};
  check_error<ConfigError>([&] { (void)forward({.document = six}); },
                           {"expert choice", "length 0", "Sequences::length"});
  check_error<ShapeError>([&] { (void)forward({.length = 4}); }, {"whole sequences of 4 tokens", "6 rows"});
  check_error<ShapeError>([&] { (void)forward({.length = 6, .document = five}); }, {"6 tokens", "got 5"});
  CHECK(forward({.length = 3, .document = six}).routing.plan.expert[10] == 3);
  CHECK(forward({}).routing.plan.expert.size() == 12);
}

TEST_CASE("experts that choose tokens cannot decode, whose texts they would mix") {
  using Model = LanguageModel<MoeLayer<LinearRouter, NoInhibition, ExpertChoice<2>, Mlp<Relu>, Cpu<float>>>;
  Model model({.vocabulary = 9,
               .positions = 4,
               .blocks = 1,
               .block = {.width = 6, .heads = 2},
               .moe = {.width = 6, .experts = 3}});
  Parameters<float> parameters(model, 3);
  Cpu<float> cpu;
  auto cache = model.make_cache(2, 4, cpu.space());
  const std::vector<int> ids{1, 2};
  check_error<ConfigError>([&] { (void)model.decode(cpu, {ids.data(), {2}}, cache); }, {"whole texts", "TopM"});
}

namespace {

/// Two gate terms that say no name.
template <int Number>
struct Unnamed {
  struct Config {};
  template <class T>
  struct Module {
    Parameter<T> weight;

    Module(const Config&, const InhibitionSizes& sizes) : weight({1, sizes.gated}, init::normal(1)) {}
    void visit(auto&& v) { v("weight", weight); }
    template <Executor Ex>
    [[nodiscard]] Tensor<T> term(Ex&, const InhibitionInputs<T>&) const {
      return weight;
    }
  };
};

}  // namespace

TEST_CASE("gate terms without a name of their own are numbered") {
  MoeLayer<LinearRouter, Gated<Unnamed<0>, Glu, Unnamed<1>>> layer({.width = 4, .experts = 3});
  Parameters<float> parameters(layer, 3);
  const Tensor<float>&first = parameters["inhibition.term.weight"], &second = parameters["inhibition.term2.weight"];
  CHECK(first[0] != second[0]);
  CHECK(parameters["inhibition.glu.gate.weight"].size() == 16);
}

TEST_CASE("a part that has no memory yet is an error, not left out") {
  Cpu<float> cpu;
  Values<float> x({2, 4}, 1), weight({4, 4}, 2);
  nn::LayerNorm<float> norm(4);
  check_error<ConfigError>([&] { (void)norm(cpu, x.constant()); }, {"parameter [4]", "make Parameters(module, seed)"});
  nn::Linear<float> biased(4, 4);
  biased.weight.tensor = weight.constant();
  check_error<ConfigError>([&] { (void)biased(cpu, x.constant()); }, {"parameter [4]"});
  nn::Embedding<float> placed(4, 4, 8);
  placed.words.tensor = weight.constant();
  const std::vector<int> ids{1, 2};
  check_error<ConfigError>([&] { (void)placed(cpu, {ids.data(), {2}}, 2); }, {"parameter [8, 4]"});
  nn::Linear<float> plain(4, 4, false);
  plain.weight.tensor = weight.constant();
  CHECK(plain(cpu, x.constant()).cols() == 4);  // a part that the module does not have
}

TEST_CASE("one expert whose gate is divided by itself gives the router no gradient, and Switch does") {
  const std::vector<double> logits{.3, -1, 2, .4};
  const auto none = choice_of<TopM<1>>(logits), some = choice_of<Switch>(logits);
  CHECK(none.gates == std::vector<double>{1});
  for (const double slope : none.gradient) CHECK(std::abs(slope) < 1e-15);
  CHECK(std::abs(some.gradient[2]) > 1e-3);
}

TEST_CASE("softmax over the chosen probabilities takes a router's probabilities as they are") {
  const auto choice = choice_of<SoftmaxOfTopProbabilities<2>, double>({.1, .6, .05, .25}, {}, ScoreKind::probabilities);
  CHECK(choice.expert == Experts{1, 3});
  CHECK(choice.gates[0] / choice.gates[1] == doctest::Approx(std::exp(.6 - .25)));
}

TEST_CASE("X-MoE's learned temperature never falls below the least") {
  XMoeRouter::Module<double> router({.dimension = 3, .min_temperature = .05}, 3, 4);
  Parameters<double> parameters(router, 3);
  Cpu<double> cpu;
  Values<double> z({2, 3}, 4);
  const auto at = [&](double log_factor) {
    for (const auto& entry : parameters.entries())
      if (entry.name == "log_factor") parameters.set_values(entry, {log_factor});
    return router.scores(cpu, z.constant()).scores[0];
  };
  const double cosine = at(0);
  CHECK(at(50) == doctest::Approx(cosine / .05));
  CHECK(at(1) == doctest::Approx(cosine * std::exp(1.0)));
}
