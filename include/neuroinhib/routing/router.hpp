#pragma once

#include <concepts>

#include <neuroinhib/inhibition/inhibition.hpp>
#include <neuroinhib/routing/token_context.hpp>

/// What routers have in common: a part before the inhibition, x → z, and a part after it, z* → scores.
namespace neuroinhib {

/// What a router's scores are.
enum class ScoreKind {
  logits,        ///< any real numbers
  probabilities  ///< rows that sum to one
};

/// What a router makes of the tokens.
template <class T>
struct RouterOutput {
  Tensor<T> scores;         ///< [tokens, experts]
  Tensor<T> hidden;         ///< what the scoring layer read, [tokens, hidden]
  Tensor<T> base_scores{};  ///< of mutual-inform routers: e_i [tokens, experts], before other tokens joined
  Tensor<T> entropy{};      ///< … H of a token's weights on others, in nats [tokens]
  Tensor<T> self_weight{};  ///< … its weight on itself [tokens]
  View<const int> head{};   ///< … by attention: the head that informed [1]; none: all did
};

/// Has kScoreKind.
template <class P>
concept RouterHasKind = requires {
  { P::kScoreKind } -> std::convertible_to<ScoreKind>;
};

/// Has Module<T>(Config, features, experts).
template <class P>
concept RouterHasModule =
    std::constructible_from<typename P::template Module<float>, const typename P::Config&, Index, Index>;

/// Its Module<float> has gated(executor, x) and gated_width().
template <class P>
concept RouterHasGated =
    requires(const typename P::template Module<float>& module, detail::AnyExecutor& ex, const Tensor<float>& x) {
      { module.gated(ex, x) } -> std::same_as<Tensor<float>>;
      { module.gated_width() } -> std::same_as<Index>;
    };

namespace detail {

/// A router's kScoreKind. One without it, which is_router() refuses, counts as giving logits.
template <class P>
inline constexpr ScoreKind kScoreKindOf = ScoreKind::logits;
template <RouterHasKind P>
inline constexpr ScoreKind kScoreKindOf<P> = P::kScoreKind;

/// Routers that look beyond the gated vector: scores(executor, z*, x, context).
template <class M, class Ex, class T>
concept LooksAround = requires(const M& module, Ex& ex, const Tensor<T>& x, const TokenContext<T>& context) {
  { module.scores(ex, x, x, context) } -> std::same_as<RouterOutput<T>>;
};

/// The router's scores for z*, whichever of the two forms it has.
template <Executor Ex, class M, class T>
[[nodiscard]] RouterOutput<T> router_scores(Ex& ex, const M& router, const Tensor<T>& z, const Tensor<T>& x,
                                            const TokenContext<T>& context) {
  if constexpr (LooksAround<M, Ex, T>)
    return router.scores(ex, z, x, context);
  else
    return router.scores(ex, z);
}

}  // namespace detail

/// Its Module<float> has scores(executor, z), or scores(executor, z, x, context).
template <class P>
concept RouterHasScores =
    detail::LooksAround<typename P::template Module<float>, detail::AnyExecutor, float> ||
    requires(const typename P::template Module<float>& module, detail::AnyExecutor& ex, const Tensor<float>& x) {
      { module.scores(ex, x) } -> std::same_as<RouterOutput<float>>;
    };

/// A policy struct with kScoreKind, a Config and a template Module<T>(Config, features, experts) that has
/// gated(executor, x) → z, gated_width(), visit(visitor) and scores(executor, z*) → RouterOutput<T>, or, for a router
/// that looks at other tokens, scores(executor, z*, x, TokenContext<T>) → RouterOutput<T>.
template <class P>
concept RouterPolicy =
    HasConfig<P> && RouterHasKind<P> && RouterHasModule<P> && RouterHasGated<P> && RouterHasScores<P>;

namespace detail {

/// Asked by what takes a router as a template parameter: true, or errors that say in a sentence each what a router has.
template <class P>
[[nodiscard]] constexpr bool is_router() {
  static_assert(HasConfig<P>, "a router needs a default-constructible Config; see docs/write-a-router.md");
  static_assert(RouterHasKind<P>, "a router needs kScoreKind, logits or probabilities; see docs/write-a-router.md");
  static_assert(RouterHasModule<P>,
                "a router needs a template Module<T>(Config, features, experts); see docs/write-a-router.md");
  static_assert(
      RouterHasGated<P>,
      "a router's Module<T> needs gated(executor, x) const and gated_width() const; see docs/write-a-router.md");
  static_assert(RouterHasScores<P>,
                "a router's Module<T> needs scores(executor, z) const returning RouterOutput<T>; "
                "see docs/write-a-router.md");
  return true;
}

}  // namespace detail
}  // namespace neuroinhib
