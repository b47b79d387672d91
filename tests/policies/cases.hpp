#pragma once

#include <string>
#include <vector>

#include "support.hpp"

/// One layer of every kind of policy, for whatever must hold of all: gradients, backends that agree.
namespace testing {

inline constexpr Index kTokens = 6, kWidth = 5, kExperts = 4;

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
  layer.template operator()<TwoLayerRouter<Tanh>, PretextInhibition>("pre-text, two activations of different shapes",
                                                                     [](auto& c) {
                                                                       c.inhibition.earlier_widths = {3, 8};
                                                                     },
                                                                     {{kTokens, 3}, {kTokens, 2, 4}});
  for (const Pooling pooling : {Pooling::max, Pooling::mean, Pooling::row})
    layer.template operator()<TwoLayerRouter<Tanh>, PosttextInhibition>(
        "post-text, pooling " + std::to_string(static_cast<int>(pooling)),
        [=](auto& c) { c.inhibition.pooling = pooling; });
  for (const Bracket bracket : {Bracket::inside, Bracket::as_printed})
    layer.template operator()<TwoLayerRouter<Relu>, GlobalInhibition>(
        "global, bracket " + std::to_string(static_cast<int>(bracket)),
        [=](auto& c) {
          c.inhibition.earlier_widths = {3};
          c.inhibition.bracket = bracket;
        },
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
