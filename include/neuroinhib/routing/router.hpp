#pragma once

#include <concepts>

#include <neuroinhib/inhibition/inhibition.hpp>

/// What routers have in common: a part before the inhibition, x → z, and a part after it, z* → scores.
namespace neuroinhib {

enum class ScoreKind {
  logits,        ///< any real numbers
  probabilities  ///< rows that sum to one
};

template <class T>
struct RouterScores {
  Tensor<T> scores;  ///< [tokens, experts]
  Tensor<T> hidden;  ///< what the scoring layer read, [tokens, hidden]
};

template <class P>
concept RouterHasKind = requires {
  { P::kScores } -> std::convertible_to<ScoreKind>;
};

template <class P>
concept RouterHasModule = std::constructible_from < typename P::template Module<float>,
const typename P::Config&, Index, Index > ;

template <class P>
concept RouterHasGated = requires(typename P::template Module<float>& module, detail::AnyExecutor& ex,
                                  const Tensor<float>& x) {
  { module.gated(ex, x) } -> std::same_as<Tensor<float>>;
  { module.gated_width() } -> std::same_as<Index>;
};

template <class P>
concept RouterHasScores = requires(typename P::template Module<float>& module, detail::AnyExecutor& ex,
                                   const Tensor<float>& x) {
  { module.scores(ex, x) } -> std::same_as<RouterScores<float>>;
};

/// A policy struct with kScores, a Config and a template Module<T>(Config, features, experts) that has
/// gated(executor, x) → z, gated_width(), scores(executor, z*) → RouterScores<T> and visit(visitor).
template <class P>
concept RouterPolicy =
    HasConfig<P> && RouterHasKind<P> && RouterHasModule<P> && RouterHasGated<P> && RouterHasScores<P>;

}  // namespace neuroinhib
