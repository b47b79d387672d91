#pragma once

#include <cstdint>

#include <neuroinhib/ops/hash_scores/op.hpp>
#include <neuroinhib/routing/router.hpp>

namespace neuroinhib {

/// A word's experts are a hash of its number, whatever its context (Roller et al. 2021): nothing to train. Needs
/// TokenContext::ids. Use it with a mix that chooses as many experts as `choices`.
struct HashRouter {
  static constexpr ScoreKind kScoreKind = ScoreKind::probabilities;
  struct Config {
    Index choices = 1;       ///< experts a word, each with probability 1 / choices
    std::uint64_t seed = 0;  ///< of the hash
  };

  template <class T>
  struct Module {
    Config config;            ///< as the layer was given
    Index features, experts;  ///< width of a token, and K

    /// Throws ConfigError unless 1 ≤ choices ≤ experts.
    Module(const Config& options, Index width, Index count) : config(options), features(width), experts(count) {
      require_choices(options.choices, count);
    }
    void visit(auto&&) {}
    /// The width of z: that of the features.
    [[nodiscard]] Index gated_width() const { return features; }
    template <Executor Ex>
    [[nodiscard]] Tensor<T> gated(Ex&, const Tensor<T>& x) const {
      return x;
    }
    /// Throws ConfigError without the tokens' ids.
    template <Executor Ex>
    [[nodiscard]] RouterOutput<T> scores(Ex& ex, const Tensor<T>& z, const Tensor<T>& x,
                                         const TokenContext<T>& context) const {
      if (context.ids.size() != x.rows())
        fail<ConfigError>("hash router", "the " + std::to_string(x.rows()) + " tokens' ids in TokenContext::ids",
                          std::to_string(context.ids.size()), "pass the words' numbers as ids");
      return {hash_scores(ex, context.ids, experts, config.choices, config.seed), z};
    }
  };
};

}  // namespace neuroinhib
