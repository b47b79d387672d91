#pragma once

#include <array>
#include <string>
#include <vector>

#include <neuroinhib/moe/transformer_block.hpp>
#include <neuroinhib/nn/embedding.hpp>
#include <neuroinhib/ops/projected_cross_entropy/op.hpp>

namespace neuroinhib {

/// A causal transformer language model with MoE layers: words → embeddings → blocks → (norm) → the next word.
template <class Layer>
class LanguageModel {
 public:
  using Scalar = typename Layer::Scalar;
  using T = Scalar;

  struct Config {
    Index vocabulary = 0;
    Index positions = 0;  ///< the longest sequence
    Index blocks = 0;
    Index moe_every = 1;  ///< 1: experts in every block; 2: in every other one, from the second (GLaM); 0: in none
    bool output_bias = true;
    TransformerOptions block{};
    typename Layer::Config moe{};
  };

  /// The tokens decoded so far.
  struct Cache {
    std::vector<BlockCache<T>> blocks;
    Index past = 0, sequences = 0;
  };

  struct Loss {
    Tensor<T> total;   ///< a scalar: the mean cross-entropy and the auxiliary losses
    Tensor<T> mean;    ///< the mean cross-entropy, in nats a token
    Tensor<T> losses;  ///< [rows] each token's, 0 where its label is below zero
  };

  /// Throws ConfigError.
  explicit LanguageModel(const Config& config)
      : config_(checked(config)),
        embedding_(config.vocabulary, config.block.width, config.positions),
        last_norm_(config.block.width),
        output_(config.block.width, config.vocabulary, config.output_bias) {
    for (Index b = 0; b < config.blocks; ++b) {
      const bool experts = config.moe_every > 0 && (b + 1) % config.moe_every == 0;
      blocks_.emplace_back(config.block, experts ? &config.moe : nullptr);
    }
    outputs_.reserve(blocks_.size());
  }

  void visit(auto&& v) {
    v("embedding", embedding_);
    v("blocks", blocks_);
    if (config_.block.norm == NormPlace::before) v("norm", last_norm_);
    v("output", output_);
  }

  /// The last block's tokens [rows, width] for words ids [rows]; with a cache, `sequences` goes on where it stands.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> forward(Ex& ex, const View<const int>& ids, const Sequences& sequences,
                                  Cache* cache = nullptr) {
    Tensor<T> x = embedding_(ex, ids, sequences.rows(), sequences.past);
    const std::array<Tensor<T>, 1> earlier{x};
    constexpr bool kPretext = requires(typename Layer::Config c) {
      c.inhibition.earlier_widths;
    };
    x = dropout(ex, x, config_.block.dropout);
    outputs_.clear();
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      auto out = blocks_[b].forward(ex, x, sequences, ids,
                                    kPretext ? std::span<const Tensor<T>>(earlier) : std::span<const Tensor<T>>{},
                                    cache ? &cache->blocks[b] : nullptr);
      x = out.y;
      if (blocks_[b].has_experts()) outputs_.push_back(out.moe);
    }
    return config_.block.norm == NormPlace::before ? last_norm_(ex, x) : x;
  }

  /// Next-word cross-entropy; a label below zero does not count. Throws ShapeError, ConfigError.
  template <Executor Ex>
  [[nodiscard]] Loss loss(Ex& ex, const View<const int>& ids, const View<const int>& labels,
                          const Sequences& sequences) {
    const Tensor<T> hidden = forward(ex, ids, sequences);
    const auto next = projected_cross_entropy<Ex>(ex, hidden, output_.weight, output_.bias, labels);
    Tensor<T> total = next.mean;
    for (const auto& out : outputs_) total = sum(ex, {total, out.auxiliary});
    return {total, next.mean, next.losses};
  }

  /// Scores of all words for rows of forward()'s result.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> logits(Ex& ex, const Tensor<T>& hidden) const {
    return output_(ex, hidden);
  }

  /// Scores [rows, vocabulary] of the words after these, which follow those in the cache: ids [sequences · new words].
  template <Executor Ex>
  [[nodiscard]] Tensor<T> decode(Ex& ex, const View<const int>& ids, Cache& cache) {
    if (ids.size() == 0 || ids.size() % cache.sequences != 0)
      fail<ShapeError>("decoding", "as many words for each of " + std::to_string(cache.sequences) + " sequences",
                       std::to_string(ids.size()), "decode all sequences of the cache together");
    const Index rows = ids.size() / cache.sequences;
    const Sequences sequences{.length = cache.past + rows, .past = cache.past};
    const Tensor<T> hidden = forward(ex, ids, sequences, &cache);
    cache.past += rows;
    return logits(ex, hidden);
  }
  /// Room for `tokens` words of each of `sequences` texts; Backend::space() for the backend that decodes.
  [[nodiscard]] Cache make_cache(Index sequences, Index tokens, const MemorySpace& space) const {
    Cache cache{{}, 0, sequences};
    for (const auto& block : blocks_) cache.blocks.push_back(block.make_cache(sequences, tokens, space));
    return cache;
  }

  /// Of the last forward pass, one for each block with experts; valid as long as its step.
  [[nodiscard]] const std::vector<MoeOutput<T>>& layers() const { return outputs_; }
  [[nodiscard]] const Config& config() const { return config_; }

 private:
  static const Config& checked(const Config& config) {
    if (config.vocabulary < 2 || config.positions < 1 || config.blocks < 1 || config.moe_every < 0)
      fail<ConfigError>("language model", "a vocabulary ≥ 2, positions and blocks ≥ 1, moe_every ≥ 0",
                        std::to_string(config.vocabulary) + ", " + std::to_string(config.positions) + ", " +
                            std::to_string(config.blocks) + " and " + std::to_string(config.moe_every),
                        "set the model's extents");
    if (config.moe_every != 1 && config.block.hidden < 1)
      fail<ConfigError>("language model", "a hidden width for blocks without experts",
                        std::to_string(config.block.hidden), "set block.hidden");
    if (config.moe_every > 0 && config.moe.width != config.block.width)
      fail<ConfigError>("language model", "experts of the blocks' width " + std::to_string(config.block.width),
                        std::to_string(config.moe.width), "set both to one width");
    return config;
  }

  Config config_;
  nn::Embedding<T> embedding_;
  std::vector<TransformerBlock<Layer>> blocks_;
  nn::LayerNorm<T> last_norm_;
  nn::Linear<T> output_;
  std::vector<MoeOutput<T>> outputs_;
};

}  // namespace neuroinhib
