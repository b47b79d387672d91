#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include <neuroinhib/ops/routing_plan/op.hpp>
#include <neuroinhib/routing/router.hpp>

/// What gate rules have in common: scores → which experts, with which weights.
namespace neuroinhib {

/// What a mix decides: which experts serve each token, and with which weights.
template <class T>
struct Routing {
  RoutingPlan plan;         ///< which expert serves which token
  Tensor<T> gates;          ///< [tokens, chosen]
  Tensor<T> probabilities;  ///< [tokens, experts] over all experts; undefined where the rule never forms them
  Tensor<T> auxiliary;      ///< the rule's own loss, a scalar; undefined where there is none
};

/// Sizes that a layer gives its mix.
struct MixSizes {
  Index hidden = 0;   ///< width of what the scoring layer reads
  Index experts = 0;  ///< K
};

/// Throws ConfigError unless there are as many experts as a mix chooses.
inline void require_experts(std::string_view mix, Index chosen, const MixSizes& sizes) {
  if (chosen > sizes.experts)
    fail<ConfigError>(mix, "M ≤ K = " + std::to_string(sizes.experts) + " experts", "M = " + std::to_string(chosen),
                      "choose fewer a token, or give the layer more experts");
}

/// Has Module<T>(Config, MixSizes).
template <class P>
concept MixHasModule =
    std::constructible_from<typename P::template Module<float>, const typename P::Config&, const MixSizes&>;

/// Its Module<float> has route(executor, scores, kind).
template <class P>
concept MixHasRoute = requires(const typename P::template Module<float>& module, detail::AnyExecutor& ex,
                               const RouterOutput<float>& scores) {
  { module.route(ex, scores, ScoreKind::logits) } -> std::same_as<Routing<float>>;
};

/// Whether the rule is defined on probabilities (as mutual-inform routers give) as well as on logits; a mix without
/// kTakesProbabilities is not.
template <class P>
concept MixTakesProbabilities = P::kTakesProbabilities;

/// A policy struct with kTakesProbabilities, a Config and a template Module<T>(Config, MixSizes) that has
/// route(executor, RouterOutput<T>, ScoreKind) const → Routing<T> and visit(visitor). A mix that looks at sequences or
/// leaves padding out takes a TokenContext<T> as a fourth argument, with a default. The library's rules without
/// parameters share one Module; they have kChosen, the experts that they need, and weigh(executor, scores, kind) →
/// experts, gates and probabilities.
template <class P>
concept MixPolicy = HasConfig<P> && MixHasModule<P> && MixHasRoute<P>;

}  // namespace neuroinhib
