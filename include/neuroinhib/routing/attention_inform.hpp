#pragma once

#include <algorithm>
#include <string>

#include <neuroinhib/ops/head_choice/op.hpp>
#include <neuroinhib/ops/remember/op.hpp>
#include <neuroinhib/ops/ring_attention/op.hpp>
#include <neuroinhib/routing/inform.hpp>

namespace neuroinhib {

/// Which heads inform the routing.
enum class HeadChoice {
  average,  ///< the one of the lowest entropy, averaged over the training steps before (default: causal, and it
            ///< decodes); the first training step takes its own batch's, untrained evaluation the first head
  batch,    ///< … in this batch (Mutual-Inform SMoE, eq. 15). Its choice looks at every token: not causal
  frozen,   ///< Config::head
  all       ///< the posterior over all heads (eq. 13), with equal priors
};

/// p_i = Σ_j A'_{h*}[i, j] e_j with A'_h[i, j] ∝ A_h[i, j] N(u_i | c W_O,h v_jh, σ²I): the attention before the layer
/// says whose expert probabilities a token takes over (Mutual-Inform SMoE, definition 2). u is that attention's output
/// before the residual. As flash attention: memory is linear in the sequence.
template <class Base>
struct AttentionInform {
  static constexpr ScoreKind kScoreKind = ScoreKind::probabilities;
  static constexpr bool kKeepsKeys = false;  ///< the attention has them
  struct Config {
    typename Base::Config base{};             ///< of the base router
    double deviation = 1;                     ///< σ
    HeadChoice choice = HeadChoice::average;  ///< which heads count
    Index head = 0;                           ///< of HeadChoice::frozen
    double average_decay = 0.99;              ///< of HeadChoice::average
    bool head_factor = true;      ///< c = H, since W_O,h is H times its slice of the output projection (eq. 1); else 1
    bool through_weights = true;  ///< whether a gradient flows through A'
  };

  template <class T>
  struct Module : detail::Informed<Base, T> {
    /// What both mutual-inform routers have.
    using Informed = detail::Informed<Base, T>;
    Config config;                   ///< as the layer was given
    Buffer<T> entropy{Shape{1, 0}};  ///< [1, heads] of HeadChoice::average

    /// Throws ConfigError unless σ > 0 and 0 ≤ average_decay < 1.
    Module(const Config& options, Index features, Index experts)
        : Informed(options.base, features, experts), config(options) {
      require_option("attention-inform", "deviation σ", options.deviation, options.deviation > 0, "> 0",
                     "the paper's runs use 1");
      require_option("attention-inform", "average_decay", options.average_decay,
                     options.average_decay >= 0 && options.average_decay < 1, "in [0, 1)",
                     "0.99 averages over about a hundred steps");
    }
    void visit(auto&& v) {
      v("base", this->base);
      if (config.choice == HeadChoice::average) v("entropy", entropy);
    }

    /// Throws ConfigError without the trace of an attention, or for a frozen head that it does not have.
    template <Executor Ex>
    [[nodiscard]] RouterOutput<T> scores(Ex& ex, const Tensor<T>& z, const Tensor<T>& x,
                                         const TokenContext<T>& context) const {
      const AttentionTrace<T>& trace = context.attention;
      if (!trace.defined())
        fail<ConfigError>("attention-inform", "the attention before the layer in TokenContext::attention", "none",
                          "pass its AttentionTrace, as TransformerBlock does, or use SimilarityInform");
      const auto own = this->own_scores(ex, z, x, context);
      const auto seen = this->remembered(ex, Tensor<T>{}, own.scores, context);
      const View<const int> informing = head(ex, trace, context);
      const auto p = ring_inform(ex, config.through_weights ? trace : detached(trace), seen.values, context.sequences,
                                 informing, factor(trace), config.deviation);
      return {p.y, own.hidden, own.scores, p.entropy, p.self, informing};
    }
    /// Σ_j A'_ij v_j for values v [tokens, …] of whole sequences, by the head that informed: A' itself, where v is the
    /// identity.
    template <Executor Ex>
    [[nodiscard]] Tensor<T> weighted(Ex& ex, const Tensor<T>& /*x*/, const TokenContext<T>& context,
                                     const RouterOutput<T>& of_these, const Tensor<T>& v) const {
      const AttentionTrace<T>& trace = context.attention;
      return ring_inform(ex, trace, v, context.sequences, of_these.head, factor(trace), config.deviation).y;
    }

   private:
    [[nodiscard]] double factor(const AttentionTrace<T>& trace) const {
      return config.head_factor ? static_cast<double>(trace.heads) : 1;
    }
    template <Executor Ex>
    View<const int> head(Ex& ex, const AttentionTrace<T>& trace, const TokenContext<T>& context) const {
      const auto of_batch = [&] { return mean_entropy(ex, trace.entropy, context.counted); };
      switch (config.choice) {
        case HeadChoice::all: return {};
        case HeadChoice::batch: return lowest_head(ex, of_batch());
        case HeadChoice::frozen: return fixed_head(ex, config.head, trace.heads);
        case HeadChoice::average: break;
      }
      Tensor<T> mean = recall(ex, entropy);
      if (mean.defined())
        require_width("attention-inform", trace.heads, mean.shape,
                      "build the model with the heads it was trained with");
      if (!ex.training()) return mean.defined() ? lowest_head(ex, mean) : fixed_head(ex, 0, trace.heads);
      const Tensor<T> now = of_batch();
      remember_average(ex, now, entropy, config.average_decay);
      return lowest_head(ex, mean.defined() ? mean : now);
    }
    template <Executor Ex>
    View<const int> fixed_head(Ex& ex, Index number, Index heads) const {
      if (number < 0 || number >= heads)
        fail<ConfigError>("attention-inform", "a head from 0 to " + std::to_string(heads - 1), std::to_string(number),
                          "set Config::head to a head of the attention");
      return neuroinhib::fixed_head(ex, number);
    }
    static AttentionTrace<T> detached(AttentionTrace<T> trace) {
      for (Columns<T>* columns : {&trace.q, &trace.k, &trace.v}) columns->tensor = columns->tensor.detached();
      for (Tensor<T>* tensor : {&trace.log_sum, &trace.output_weight, &trace.output, &trace.relative})
        *tensor = tensor->detached();
      return trace;
    }
  };
};

}  // namespace neuroinhib
