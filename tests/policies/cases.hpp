#pragma once

#include <string>
#include <vector>

#include "support.hpp"

/// One layer of every kind of policy, for whatever must hold of all: gradients, backends that agree.
namespace testing {

inline constexpr Index kTokens = 6, kMoreTokens = 9, kWidth = 5, kExperts = 4;

template <class R, class I, class M = TopM<2>, class E = Mlp<Tanh>, class T = double>
using Layer = MoeLayer<R, I, M, E, Cpu<T>>;

/// What a case fills in besides its own options.
template <class L>
typename L::Config completed(typename L::Config config) {
  config.width = kWidth;
  config.experts = kExperts;
  if (config.hidden.empty()) config.hidden = {7};
  return config;
}

/// Constant numbers in the step's memory.
template <class Ex>
TensorOf<Ex> constant(Ex& ex, const Shape& shape, std::uint64_t seed, double scale) {
  const auto target = ex.tensor(shape, false);
  const Values<ScalarOf<Ex>> values(shape, seed, scale);
  ex.backend().write(View<ScalarOf<Ex>>(target), values.values.data());
  return target;
}

/// What routers that look around need: sequences, of three tokens for most cases, words, and an attention of two heads
/// over x.
template <class Ex>
TokenContext<ScalarOf<Ex>> context_of(Ex& ex, const TensorOf<Ex>& x, const Sequences& sequences = {.length = 3}) {
  constexpr Index kHeads = 2, kInner = 4;
  TokenContext<ScalarOf<Ex>> context;
  context.sequences = sequences;
  context.raw = x;
  const auto ids = ex.integers({x.rows()});
  std::vector<int> words;
  for (int i = 0; i < static_cast<int>(x.rows()); ++i) words.push_back(i * i % 7);
  ex.backend().write(ids, words.data());
  context.ids = ids;
  const auto qkv = linear(ex, x, constant(ex, {3 * kInner, x.cols()}, 81, .5), {}, LinearUse::routing);
  AttentionTrace<ScalarOf<Ex>>& trace = context.attention;
  trace.q = {qkv, 0, kInner};
  trace.k = {qkv, kInner, kInner};
  trace.v = {qkv, 2 * kInner, kInner};
  const auto attended = attention(ex, trace.q, trace.k, trace.v, context.sequences, kHeads);
  trace.log_sum = attended.log_sum;
  trace.entropy = attended.entropy;
  trace.output_weight = constant(ex, {x.cols(), kInner}, 82, .5);
  trace.output = linear(ex, attended.y, trace.output_weight, {}, LinearUse::routing);
  trace.heads = kHeads;
  trace.key_rows = context.sequences.length;
  trace.mask = context.sequences.mask;
  return context;
}

/// Calls visit.operator()<L>(name, config, shapes of the earlier activations) for each case.
template <class T, class Visit>
void for_each_layer(const Visit& visit) {
  const auto layer = [&]<class R, class I, class M = TopM<2>, class E = Mlp<Tanh>>(
                         const std::string& name, const auto& adjust, const std::vector<Shape>& earlier = {}) {
    using L = Layer<R, I, M, E, T>;
    typename L::Config config;
    config.router = typename R::Config{};
    if constexpr (requires { config.router.hidden; }) config.router.hidden = 6;
    adjust(config);
    visit.template operator()<L>(name, completed<L>(config), earlier);
  };
  const auto plain = [](auto&) {};

  layer.template operator()<LinearRouter, NoInhibition>("no inhibition", plain);
  layer.template operator()<TwoLayerRouter<Tanh>, RandomInhibition>("random inhibition", plain);
  layer.template operator()<LinearRouter, GluInhibition>("GLU on a linear router", plain);
  layer.template operator()<TwoLayerRouter<Silu>, GluInhibition>("GLU on a two-layer router", plain);
  layer.template operator()<TwoLayerRouter<Tanh>, PretextInhibition>(
      "pre-text, two activations of different shapes", [](auto& c) { c.inhibition.earlier_widths = {3, 8}; },
      {{kTokens, 3}, {kTokens, 2, 4}});
  for (const Pooling pooling : {Pooling::max, Pooling::mean, Pooling::row})
    layer.template operator()<TwoLayerRouter<Tanh>, PosttextInhibition>(
        "post-text, pooling " + std::to_string(static_cast<int>(pooling)),
        [=](auto& c) { c.inhibition.pooling = pooling; });
  for (const Bracket bracket : {Bracket::inside, Bracket::as_printed})
    layer.template operator()<TwoLayerRouter<Relu>, GlobalInhibition>(
        "global, bracket " + std::to_string(static_cast<int>(bracket)),
        [=](auto& c) { c.inhibition = GlobalInhibition::with(Pretext::Config{.earlier_widths = {3}}, bracket); },
        {{kTokens, 3}});

  using R = LinearRouter;
  using I = NoInhibition;
  layer.template operator()<R, I, Dense>("dense", plain);
  layer.template operator()<R, I, SoftmaxOfTopM<3>>("softmax of top M", [](auto& c) {
    c.auxiliary.importance = .3;
    c.auxiliary.z = .2;
  });
  layer.template operator()<R, I, SoftmaxOfTopProbabilities<3>>("softmax of top probabilities", plain);
  layer.template operator()<R, I, Switch>("switch", [](auto& c) { c.auxiliary.balance = .5; });
  layer.template operator()<R, I, NoisyTopK<2>>("noisy top K with its load loss", [](auto& c) {
    c.auxiliary.importance = .1;
    c.mix.load_weight = .4;
  });

  layer.template operator()<R, I, TopP<3>>("top P", [](auto& c) {
    c.mix.p = .7;
    c.auxiliary.importance = .3;
    c.auxiliary.balance = .2;
  });
  layer.template operator()<R, I, TopP<4>, SwiGlu>("top P, renormalised", [](auto& c) { c.mix.renormalise = true; });
  layer.template operator()<R, I, SigmoidTopM<2>>("sigmoid gates", plain);
  layer.template operator()<R, I, BalancedTopM<2>>("balanced by a bias", plain);
  layer.template operator()<R, I, BalancedTopM<2>>("balanced, sigmoid gates", [](auto& c) { c.mix.sigmoid = true; });
  layer.template operator()<R, I, ExpertChoice<3>>("expert choice", [](auto& c) { c.mix.capacity = 1.4; });
  layer.template operator()<XMoeRouter, I>("X-MoE", [](auto& c) { c.router.dimension = 3; });
  layer.template operator()<XMoeRouter, GluInhibition>("X-MoE, inhibited, input as it is", [](auto& c) {
    c.router.dimension = 3;
    c.router.normalise_input = c.router.learned_temperature = false;
  });
  layer.template operator()<RandomRouter, I, ScheduledTopM>("SMoE-dropout", [](auto& c) { c.mix.growth_steps = 4; });
  layer.template operator()<HashRouter, I, TopM<2>>("hash", [](auto& c) { c.router.choices = 2; });
  layer.template operator()<R, I, TopM<2>>("shared experts", [](auto& c) { c.shared = 2; });
  layer.template operator()<R, I, TopM<2>>("dropout within experts", [](auto& c) { c.expert.dropout = .4; });

  layer.template operator()<SimilarityInform<R>, I>("similarity-inform", plain);
  layer.template operator()<SimilarityInform<TwoLayerRouter<Tanh>>, GlobalInhibition, Dense>(
      "similarity-inform, learned, normalised, global inhibition, dense",
      [](auto& c) {
        c.router.learned = true;
        c.router.temperature = .5;
        c.router.compare = SimilarityOf::normalised;
        c.inhibition.earlier_widths = {3};
      },
      {{kTokens, 3}});
  layer.template operator()<SimilarityInform<R>, I>("similarity-inform of raw tokens",
                                                    [](auto& c) { c.router.compare = SimilarityOf::raw; });
  layer.template operator()<AttentionInform<R>, GluInhibition>("attention-inform", plain);
  layer.template operator()<AttentionInform<XMoeRouter>, I, TopP<3>>("attention-inform on X-MoE, this batch's head",
                                                                     [](auto& c) {
                                                                       c.router.choice = HeadChoice::batch;
                                                                       c.router.deviation = 2;
                                                                     });
  layer.template operator()<AttentionInform<RandomRouter>, I, BalancedTopM<2>>("attention-inform, frozen head, c = 1",
                                                                               [](auto& c) {
                                                                                 c.router.choice = HeadChoice::frozen;
                                                                                 c.router.head = 1;
                                                                                 c.router.head_factor = false;
                                                                               });
  layer.template operator()<AttentionInform<R>, I>("attention-inform of all heads",
                                                   [](auto& c) { c.router.choice = HeadChoice::all; });
  layer.template operator()<SimilarityInform<AttentionInform<R>>, I>("one informed by the other", plain);

  layer.template operator()<R, I, TopM<2>, Mlp<Gelu>>("three layers, another output width", [](auto& c) {
    c.hidden = {4, 6};
    c.output = 3;
    c.expert.output = Activation::tanh;
  });
  layer.template operator()<R, I, TopM<2>, SwiGlu>("SwiGLU experts", plain);
  layer.template operator()<R, I, TopM<3>, GeGlu>("GeGLU experts", plain);
  layer.template operator()<R, GluInhibition>("experts that read the inhibited features",
                                              [](auto& c) { c.expert_input = ExpertInput::inhibited; });
}

}  // namespace testing
