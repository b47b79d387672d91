#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <neuroinhib/neuroinhib.hpp>

#include "../chosen.hpp"
#include "../routers.hpp"
#include "settings.hpp"
#include "text_model.hpp"

namespace language_model {

using namespace neuroinhib;

inline constexpr double kBalance = 0.01;   ///< the weight of a balance loss
inline constexpr double kBiasRate = 1e-3;  ///< of a balance bias, a step

/// The base routers of all rows.
using BaseRouter = papers::OneOf<LinearRouter, XMoeRouter, RandomRouter>;
inline constexpr std::array<std::string_view, 3> kBaseRouters{"linear", "xmoe", "dropout"};

template <class Router, class Inhibition, class T, class Telemetry>
using Model = TextModel<MoeLayer<Router, Inhibition, ScheduledTopM, Mlp<Relu>, Cpu<T>, Telemetry>>;

/// Of rows glu, pretext, posttext and global.
using OptionalPretext = papers::Optional<Pretext>;
using OptionalPosttext = papers::Optional<Posttext>;
using GateInhibition = Gated<Glu, OptionalPretext, OptionalPosttext>;

inline void set_terms(GateInhibition::Config& config, const Row& row, Index width, Index steps) {
  const bool all = row.inhibition == "global";
  config.earlier_widths = {width};
  static_cast<OptionalPretext::Config&>(config).on = all || row.inhibition == "pretext";
  auto& later = static_cast<OptionalPosttext::Config&>(config);
  later.on = all || row.inhibition == "posttext";
  later.pooling = row.later.pooling;
  later.evaluation = row.later.evaluation;
  later.start_after = row.later.late ? steps / 9 : 0;
}

/// Chooses the base router, which an informed one has within.
template <class Config>
void set_base(Config& config, std::string_view router) {
  if constexpr (requires { config.base; })
    set_base(config.base, router);
  else
    config.chosen =
        static_cast<std::size_t>(std::find(kBaseRouters.begin(), kBaseRouters.end(), router) - kBaseRouters.begin());
}

/// Of a run of so many steps.
template <class M>
typename M::Config configuration(const Settings& s, const Row& row, Index vocabulary, Index steps) {
  const Network n = s.network(row.task);
  typename M::Config config;
  config.vocabulary = vocabulary;
  config.positions = n.length;
  config.blocks = n.blocks;
  config.moe_every = row.router == "none" ? 0 : row.every;
  config.block.width = config.block.hidden = n.width;
  config.block.heads = n.heads;
  config.block.norm = NormPlace::after;
  config.block.dropout = n.dropout;
  if (row.task.published) {
    config.block.span = n.spans * n.length;
    config.moe.expert.dropout = n.dropout;
  }
  config.block.routing_mask = row.sees_all ? Mask::none : Mask::causal;
  config.moe.width = n.width;
  config.moe.experts = n.experts;
  config.moe.hidden = {n.width};
  // SMoE-dropout's k grows from the network's to all experts; elsewhere it stays.
  const bool grows = row.router == "dropout" && !row.task.tuned;
  config.moe.mix = {.first = n.chosen, .last = grows ? n.experts : n.chosen, .growth_steps = grows ? steps : 0};
  if constexpr (requires { config.moe.inhibition.p; }) config.moe.inhibition.p = 0.5;
  if constexpr (requires { config.moe.inhibition.earlier_widths; })
    set_terms(config.moe.inhibition, row, n.width, steps);
  if (row.task.biased) config.moe.mix.bias_rate = kBiasRate;
  if (row.task.balanced) config.moe.auxiliary.balance = kBalance;
  papers::Informed informed = s;
  if (!row.scale.empty())
    informed.temperature = informed.deviation =
        row.scale == "root" ? std::sqrt(static_cast<double>(n.width)) : std::stod(row.scale);
  papers::set_router(config.moe.router, informed);
  set_base(config.moe.router, row.router);
  return config;
}

/// Calls use.operator()<Inhibition>() for the row's inhibition.
template <class Use>
auto with_inhibition(const Row& row, const Use& use) {
  if (row.inhibition == "none") return use.template operator()<NoInhibition>();
  if (row.inhibition == "random") return use.template operator()<RandomInhibition>();
  return use.template operator()<GateInhibition>();
}

/// Calls use.operator()<Router>() for what informs the row's router.
template <class Use>
auto with_router(const Row& row, const Use& use) {
  if (row.inform == "similarity") return use.template operator()<SimilarityInform<BaseRouter>>();
  if (row.inform == "attention") return use.template operator()<AttentionInform<BaseRouter>>();
  return use.template operator()<BaseRouter>();
}

}  // namespace language_model
