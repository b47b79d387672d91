#pragma once

#include <cmath>

#include <neuroinhib/neuroinhib.hpp>

#include "../routers.hpp"
#include "settings.hpp"

namespace language_model {

using namespace neuroinhib;

inline constexpr double kBalance = 0.01;  ///< the weight of a balance loss

template <class Router, class Inhibition, class T>
using Model = LanguageModel<MoeLayer<Router, Inhibition, ScheduledTopM, Mlp<Relu>, Cpu<T>>>;

template <class M>
typename M::Config configuration(const Settings& s, const Row& row, Index vocabulary) {
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
  config.block.routing_mask = row.sees_all ? Mask::none : Mask::causal;
  config.moe.width = n.width;
  config.moe.experts = n.experts;
  config.moe.hidden = {n.width};
  // SMoE-dropout's k grows from the network's to all experts; elsewhere it stays.
  const bool grows = row.router == "dropout";
  config.moe.mix = {.first = n.chosen, .last = grows ? n.experts : n.chosen, .growth_steps = grows ? n.steps : 0};
  if constexpr (requires { config.moe.inhibition.earlier_widths; }) config.moe.inhibition.earlier_widths = {n.width};
  if constexpr (requires { config.moe.inhibition.p; }) config.moe.inhibition.p = 0.5;
  if (row.task.balanced) config.moe.auxiliary.balance = kBalance;
  papers::Informed informed = s;
  if (!row.scale.empty())
    informed.temperature = informed.deviation =
        row.scale == "root" ? std::sqrt(static_cast<double>(n.width)) : std::stod(row.scale);
  papers::set_router(config.moe.router, informed);
  return config;
}

/// Calls use.operator()<Inhibition>() for the row's inhibition.
template <class Use>
auto with_inhibition(const Row& row, const Use& use) {
  if (row.inhibition == "random") return use.template operator()<RandomInhibition>();
  if (row.inhibition == "glu") return use.template operator()<GluInhibition>();
  if (row.inhibition == "pretext") return use.template operator()<PretextInhibition>();
  if (row.inhibition == "posttext") return use.template operator()<PosttextInhibition>();
  if (row.inhibition == "global") return use.template operator()<GlobalInhibition>();
  return use.template operator()<NoInhibition>();
}

/// Calls use.operator()<Router>() for the row's router.
template <class Inhibition, class Use>
auto with_router(const Row& row, const Use& use) {
  const auto informed = [&]<class Base>() {
    if (row.inform == "similarity") return use.template operator()<SimilarityInform<Base>>();
    if (row.inform == "attention") return use.template operator()<AttentionInform<Base>>();
    return use.template operator()<Base>();
  };
  // The other base routers are the second paper's, which has no inhibition.
  if constexpr (std::same_as<Inhibition, NoInhibition>) {
    if (row.router == "xmoe") return informed.template operator()<XMoeRouter>();
    if (row.router == "dropout") return informed.template operator()<RandomRouter>();
  }
  return informed.template operator()<LinearRouter>();
}

}  // namespace language_model
