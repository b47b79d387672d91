#pragma once

#include <neuroinhib/ops/softmax/op.hpp>
#include <neuroinhib/routing/router.hpp>

/// What the mutual-inform decorators share.
namespace neuroinhib::detail {

/// A base router whose probabilities other tokens may use.
template <class Base, class T>
struct Informed {
  static_assert(is_router<Base>());

  typename Base::template Module<T> base;

  Informed(const typename Base::Config& config, Index features, Index experts) : base(config, features, experts) {}
  [[nodiscard]] Index gated_width() const { return base.gated_width(); }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> gated(Ex& ex, const Tensor<T>& x) const {
    return base.gated(ex, x);
  }

  /// e_i, as probabilities.
  template <Executor Ex>
  [[nodiscard]] RouterOutput<T> own_scores(Ex& ex, const Tensor<T>& z, const Tensor<T>& x,
                                           const TokenContext<T>& context) const {
    require_sequences("mutual-inform routing", context.sequences, x.rows());
    RouterOutput<T> own = router_scores(ex, base, z, x, context);
    if constexpr (kScoreKindOf<Base> == ScoreKind::logits) own.scores = softmax(ex, own.scores);
    return own;
  }

  template <class Tokens>
  struct Remembered {
    Tokens keys, values;
    Index key_rows;
  };
  /// Keys and e_j of all tokens that these may see: their own, or those of a cache that they join.
  template <Executor Ex>
  [[nodiscard]] Remembered<Tensor<T>> remembered(Ex& ex, const Tensor<T>& keys, const Tensor<T>& e,
                                                 const TokenContext<T>& context) const {
    InformCache<T>* cache = context.cache;
    if constexpr (requires { Base::kKeepsKeys; })
      if (cache != nullptr)
        fail<ConfigError>("decoding", "one mutual-inform router a layer", "one inside another",
                          "decode with one of them: a cache has room for one router's scores");
    if (cache == nullptr) return {keys, e, context.sequences.length};
    if (context.sequences.spread > 0 || context.sequences.kept >= 0)
      fail<ConfigError>("mutual-inform routing", "a cache that has all tokens of a text", "one that lies over ranks",
                        "decode in one process, or with a router that looks at a token alone");
    if (keys.defined()) append<Ex>(ex, keys, cache->keys, context.sequences);
    append<Ex>(ex, e, cache->scores, context.sequences);
    return {cache->keys.tensor(), cache->scores.tensor(), cache->scores.capacity};
  }
};

}  // namespace neuroinhib::detail
