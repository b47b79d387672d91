#pragma once

#include <string>
#include <string_view>

#include <neuroinhib/neuroinhib.hpp>

#include "../routers.hpp"
#include "images.hpp"
#include "rows.hpp"

/// V-MoE with and without mutual-inform routing.
namespace vision {

using namespace neuroinhib;

template <class Router, class T>
using Layer = MoeLayer<Router, NoInhibition, ScheduledTopM, Mlp<Gelu>, Cpu<T>>;

/// The network whose layers of experts take turns among these routers.
template <class T, class... Routers>
struct Kind {
  using Model = VisionModel<Layer<Routers, T>...>;

  static typename Model::Config configuration(const Settings& s, const Images& images) {
    const Network& n = s.network;
    typename Model::Config config;
    config.height = images.training.height;
    config.width = images.training.width;
    config.channels = images.training.channels;
    config.patch = n.patch;
    config.classes = images.classes;
    config.blocks = n.blocks;
    config.experts_in = n.experts_in;
    config.block.width = n.width;
    config.block.heads = n.heads;
    config.block.hidden = n.hidden;
    std::apply([&](auto&... layer) { (set_layer<Routers>(layer, s), ...); }, config.moe);
    return config;
  }

 private:
  template <class Router>
  static void set_layer(typename Layer<Router, T>::Config& layer, const Settings& s) {
    const Network& n = s.network;
    layer.width = n.width;
    layer.experts = n.experts;
    layer.hidden = {n.hidden};
    layer.mix = {.first = n.chosen, .last = n.chosen};
    layer.auxiliary = {.importance = s.balance == "importance" ? 0.005 : 0, .balance = s.balance == "loss" ? 0.01 : 0};
    papers::set_router(layer.router, s);
  }
};

// The rows' kinds.
using Baseline = Kind<float, LinearRouter>;
using Similarity = Kind<float, SimilarityInform<LinearRouter>>;
using Attention = Kind<float, AttentionInform<LinearRouter>>;
using Alternating = Kind<float, AttentionInform<LinearRouter>, SimilarityInform<LinearRouter>>;

/// Calls use.operator()<Kind>() for the row's kind of network. Throws ConfigError for a name that is no row.
template <class Use>
auto with_kind(std::string_view row, const Use& use) {
  if (row == "baseline") return use.template operator()<Baseline>();
  if (row == "similarity") return use.template operator()<Similarity>();
  if (row == "attention") return use.template operator()<Attention>();
  if (row == "alternating") return use.template operator()<Alternating>();
  fail<ConfigError>("row", "baseline, similarity, attention or alternating", std::string(row), "choose among them");
}

}  // namespace vision
