#pragma once

#include <string>

#include <neuroinhib/nn/linear.hpp>
#include <neuroinhib/ops/l2_normalise/op.hpp>
#include <neuroinhib/ops/ring_attention/op.hpp>
#include <neuroinhib/routing/inform.hpp>

namespace neuroinhib {

/// What tokens are compared by.
enum class SimilarityOf {
  features,   ///< the layer's input (default): after LayerNorm |u|² ≈ D, so that τ = 1 leaves p_i close to e_i
  raw,        ///< the same before its normalisation: TokenContext::raw
  normalised  ///< u / |u|: cosines
};

/// p_i = Σ_j S_ij e_j with S_ij = softmax_j(u_iᵀ W_s u_j / τ) over the tokens that i sees, e_j the base router's
/// probabilities (Mutual-Inform SMoE, definition 1). As flash attention: memory is linear in the sequence.
template <class Base>
struct SimilarityInform {
  static constexpr ScoreKind kScoreKind = ScoreKind::probabilities;
  static constexpr bool kKeepsKeys = true;  ///< u_j of earlier tokens, while decoding
  struct Config {
    typename Base::Config base{};
    double temperature = 1;  ///< τ; infinity: all tokens that are seen weigh alike
    bool learned = false;    ///< whether W_s is trained, from the identity; else it is the identity (the paper's runs)
    SimilarityOf compare = SimilarityOf::features;  ///< what tokens are compared by
    bool through_weights = true;                    ///< whether a gradient flows through S
  };

  template <class T>
  struct Module : detail::Informed<Base, T> {
    /// What both mutual-inform routers have.
    using Informed = detail::Informed<Base, T>;
    nn::Linear<T> metric;  ///< W_s [features, features]
    Config config;         ///< as the layer was given

    /// Throws ConfigError unless τ > 0.
    Module(const Config& options, Index features, Index experts)
        : Informed(options.base, features, experts), config(options) {
      require_option("similarity-inform", "temperature τ", options.temperature, options.temperature > 0, "> 0",
                     "the paper's runs use 1");
      if (!options.learned) return;
      metric = nn::Linear<T>(features, features, false, LinearUse::routing);
      metric.weight.initializer = init::identity();
    }
    void visit(auto&& v) {
      v("base", this->base);
      if (config.learned) v("metric", metric);
    }
    /// Throws ShapeError where sequences are missing, ConfigError where raw features are.
    template <Executor Ex>
    [[nodiscard]] RouterOutput<T> scores(Ex& ex, const Tensor<T>& z, const Tensor<T>& x,
                                         const TokenContext<T>& context) const {
      const auto own = this->own_scores(ex, z, x, context);
      const Tensor<T> u = compared(ex, x, context);
      const Tensor<T> compared_with = config.learned ? metric(ex, u) : u;  // W_s u_j
      const auto [keys, values, key_rows] = this->remembered(ex, compared_with, own.scores, context);
      const auto s = ring_attention<Ex>(ex, u, keys, values, context.sequences, 1, 1 / config.temperature, key_rows,
                                        LinearUse::routing);
      return {s.y, own.hidden, own.scores, s.entropy, s.self};
    }

    /// Σ_j S_ij v_j for values v [tokens, …] of whole sequences: S itself, where v is the identity.
    template <Executor Ex>
    [[nodiscard]] Tensor<T> weighted(Ex& ex, const Tensor<T>& x, const TokenContext<T>& context,
                                     const RouterOutput<T>& /*of_these*/, const Tensor<T>& v) const {
      const Tensor<T> u = compared(ex, x, context);
      return ring_attention<Ex>(ex, u, config.learned ? metric(ex, u) : u, v, context.sequences, 1,
                                1 / config.temperature, 0, LinearUse::routing)
          .y;
    }

   private:
    template <Executor Ex>
    Tensor<T> compared(Ex& ex, const Tensor<T>& x, const TokenContext<T>& context) const {
      Tensor<T> u = config.compare == SimilarityOf::raw ? context.raw : x;
      if (!u.defined())
        fail<ConfigError>("similarity-inform", "the tokens before their normalisation in TokenContext::raw", "none",
                          "pass them, or set compare to SimilarityOf::features");
      if (!config.through_weights) u = u.detached();
      return config.compare == SimilarityOf::normalised ? l2_normalise(ex, u) : u;
    }
  };
};

}  // namespace neuroinhib
