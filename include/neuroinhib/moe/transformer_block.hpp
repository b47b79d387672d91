#pragma once

#include <optional>

#include <neuroinhib/moe/moe_layer.hpp>
#include <neuroinhib/nn/attention.hpp>
#include <neuroinhib/nn/feed_forward.hpp>
#include <neuroinhib/nn/layer_norm.hpp>
#include <neuroinhib/nn/span_attention.hpp>
#include <neuroinhib/ops/dropout/op.hpp>

namespace neuroinhib {

/// Where a block normalises.
enum class NormPlace {
  before,  ///< x + f(norm(x)): pre-LN (default)
  after    ///< norm(x + f(x)): post-LN, as in Mutual-Inform's base code and torch.nn.Transformer
};

/// Of a block. Options out of range are a ConfigError of its constructor.
struct TransformerOptions {
  Index width = 0, heads = 1;          ///< of a token, and attention heads, which divide it
  Index hidden = 0;                    ///< of the feed-forward layer in blocks without experts
  NormPlace norm = NormPlace::before;  ///< where the block normalises
  double dropout = 0;                  ///< on what attention and experts add to the residual
  bool attention_bias = false;         ///< whether queries, keys and values have biases
  /// Of routers that look around; empty: the attention's. Mask::none is the papers' literal reading.
  std::optional<Mask> routing_mask{};
  Activation activation = Activation::relu;  ///< of the feed-forward layer in blocks without experts
  /// Tokens before it that a token attends to, by relative positions and not to itself, those of the batches before
  /// included (nn::SpanAttention, on the CPU alone). 0: itself and its sequence, as nn::Attention.
  Index span = 0;
};

/// What a block keeps of earlier tokens, while decoding.
template <class T>
struct BlockCache {
  nn::AttentionCache<T> attention;  ///< keys and values
  InformCache<T> inform;            ///< what mutual-inform routers look at
};

/// Self-attention, then an MoE layer or a feed-forward layer, each on a residual. The MoE layer sees what its router
/// may ask for: sequences, the tokens before their normalisation, the attention, the words.
template <class Layer>
class TransformerBlock {
 public:
  /// The type of its numbers.
  using T = typename Layer::Scalar;

  /// Without a configuration of an MoE layer the block has a feed-forward layer.
  TransformerBlock(const TransformerOptions& options, const typename Layer::Config* moe)
      : options_(options), norm1_(options.width), norm2_(options.width) {
    require_option("transformer block", "span", options.span, options.span >= 0, "≥ 0",
                   "0 attends to the whole sequence");
    if (options.span > 0)
      span_attention_ = {options.width, options.heads, options.attention_bias};
    else
      attention_ = {options.width, options.heads, options.attention_bias};
    if (moe != nullptr)
      moe_.emplace(*moe);
    else
      dense_ = {options.width, options.hidden, options.activation};
  }

  void visit(auto&& v) {
    if (options_.span > 0)
      v("attention", span_attention_);
    else
      v("attention", attention_);
    v("norm1", norm1_);
    v("norm2", norm2_);
    if (moe_)
      v("moe", *moe_);
    else
      v("dense", dense_);
  }
  /// Whether the block has an MoE layer.
  [[nodiscard]] bool has_experts() const { return moe_.has_value(); }

  /// Of forward().
  struct Output {
    Tensor<T> y;       ///< [rows, width]
    MoeOutput<T> moe;  ///< of the MoE layer; its y is undefined in a block without one
  };
  /// x [rows, width]; ids [rows] for routers that hash words; `earlier` for pre-text inhibition; `counted`: tokens that
  /// losses, loads and pools count, or none for all but documents below zero; positions [span, width / heads] for a
  /// block with a span.
  template <Executor Ex>
  [[nodiscard]] Output forward(Ex& ex, const Tensor<T>& x, const Sequences& sequences, const View<const int>& ids = {},
                               std::span<const Tensor<T>> earlier = {}, BlockCache<T>* cache = nullptr,
                               const CountedTokens<T>& counted = {}, const Tensor<T>& positions = {}) const {
    const bool before = options_.norm == NormPlace::before;
    TokenContext<T> context{.sequences = sequences, .ids = ids, .counted = counted};
    const Tensor<T> attending = before ? norm1_(ex, x) : x;
    context.attention = options_.span > 0 ? span_attention_(ex, attending, positions, sequences)
                                          : attention_(ex, attending, sequences, cache ? &cache->attention : nullptr);
    context.sequences.mask = options_.routing_mask.value_or(sequences.mask);
    context.raw = sum(ex, {x, dropout(ex, context.attention.output, options_.dropout)});
    if (cache != nullptr) context.cache = &cache->inform;
    const Tensor<T> tokens = before ? norm2_(ex, context.raw) : norm1_(ex, context.raw);
    Output out;
    if (moe_) out.moe = moe_->forward(ex, tokens, earlier, context);
    const Tensor<T> added = dropout(ex, moe_ ? out.moe.y : dense_(ex, tokens), options_.dropout);
    out.y = before ? sum(ex, {context.raw, added}) : norm2_(ex, sum(ex, {tokens, added}));
    return out;
  }

  /// Room for `tokens` of each of `sequences`, in the memory of the backend that decodes.
  [[nodiscard]] BlockCache<T> make_cache(Index sequences, Index tokens, const MemorySpace& space) const {
    const TokenCache<T> rows(sequences, tokens, options_.width, space);
    return {{rows, rows}, moe_ ? moe_->make_cache(sequences, tokens, space) : InformCache<T>{}};
  }

 private:
  TransformerOptions options_;
  nn::Attention<T> attention_;
  nn::SpanAttention<T> span_attention_;
  nn::LayerNorm<T> norm1_, norm2_;
  std::optional<Layer> moe_;
  nn::FeedForward<T> dense_;
};

}  // namespace neuroinhib
