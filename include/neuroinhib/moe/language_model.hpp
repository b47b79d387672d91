#pragma once

#include <algorithm>
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
  /// The same.
  using T = Scalar;
  /// What forward() gives of each block with experts, where it is asked for.
  using LayerOutput = MoeOutput<T>;

  struct Config {
    Index vocabulary = 0;     ///< words that there are
    Index positions = 0;      ///< the longest sequence
    Index blocks = 0;         ///< how many blocks
    Index moe_every = 1;      ///< 1: experts in every block; 2: in every other one, from the second (GLaM); 0: in none
    bool output_bias = true;  ///< whether the scores of words have a bias
    /// Attention and norms of every block. With block.span, words have relative positions alone, learned, which all
    /// heads of all blocks share, and a sequence may go on over batches (Sequences::continues).
    TransformerOptions block{};
    typename Layer::Config moe{};  ///< of the MoE layers
  };

  /// The tokens decoded so far: `past` tokens of each of `sequences` texts, and what each of `blocks` keeps of them.
  struct Cache {
    std::vector<BlockCache<T>> blocks;
    Index past = 0, sequences = 0;
    Index kept = -1;  ///< tokens on this rank, where the text lies over all ranks; below zero: all are
  };

  /// What a pass may use and leave behind.
  struct Pass {
    Cache* cache = nullptr;  ///< the tokens before these
    /// Takes the output of every block with experts, valid as long as the step. Without it, inference drops a block's
    /// activations before the next block begins.
    std::vector<LayerOutput>* layers = nullptr;
    CountedTokens<T> counted{};  ///< of losses, loads and pools; none: all but documents below zero
  };

  /// Of forward().
  struct Output {
    Tensor<T> hidden;     ///< [rows, width] the last block's tokens
    Tensor<T> auxiliary;  ///< a scalar: the layers' auxiliary losses; undefined where all are off
  };

  /// Of loss().
  struct Loss {
    Tensor<T> total;   ///< a scalar: the mean cross-entropy and the auxiliary losses
    Tensor<T> mean;    ///< the mean cross-entropy, in nats a token
    Tensor<T> losses;  ///< [rows] each token's, 0 where its label is below zero
  };

  /// Throws ConfigError.
  explicit LanguageModel(const Config& config)
      : config_(checked(config)),
        embedding_(config.vocabulary, config.block.width, config.block.span > 0 ? 0 : config.positions),
        last_norm_(config.block.width),
        output_(config.block.width, config.vocabulary, config.output_bias) {
    if (config.block.span > 0)
      positions_ = {{config.block.span, config.block.width / std::max<Index>(config.block.heads, 1)}, init::normal(1)};
    for (Index b = 0; b < config.blocks; ++b) {
      const bool experts = config.moe_every > 0 && (b + 1) % config.moe_every == 0;
      blocks_.emplace_back(config.block, experts ? &config.moe : nullptr);
    }
  }

  void visit(auto&& v) {
    v("embedding", embedding_);
    if (config_.block.span > 0) v("positions", positions_);
    v("blocks", blocks_);
    if (config_.block.norm == NormPlace::before) v("norm", last_norm_);
    v("output", output_);
  }

  /// The words ids [rows] through all blocks; with a cache, `sequences` goes on where it stands. Safe from many threads
  /// at once on plain backends, one backend a thread, unless blocks have a span.
  template <Executor Ex>
  [[nodiscard]] Output forward(Ex& ex, const View<const int>& ids, const Sequences& sequences,
                               const Pass& pass = {}) const {
    require_sequences("language model", sequences, ids.size());
    if (pass.cache != nullptr) require_cache(*pass.cache);
    const auto counted = pass.counted.defined() ? pass.counted : count_tokens(ex, ids.size(), sequences.document);
    Tensor<T> x = embedding_(ex, ids, sequences.rows(), sequences.past);
    const std::array<Tensor<T>, 1> earlier{x};
    x = dropout(ex, x, config_.block.dropout);
    Tensor<T> auxiliary;
    [[maybe_unused]] const Tensor<T> kept = keeps_outputs_alone<Ex>(pass) ? ex.tensor(x.shape, false) : Tensor<T>{};
    if (pass.layers != nullptr) pass.layers->clear();
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      BlockCache<T>* cache = pass.cache != nullptr ? &pass.cache->blocks[b] : nullptr;
      const auto run = [&] {
        return blocks_[b].forward(ex, x, sequences, ids, shown(earlier), cache, counted, positions_);
      };
      if constexpr (kInference<Ex>) {
        if (kept.defined()) {
          auxiliary = alone(ex, run, kept, auxiliary);
          x = kept;
          continue;
        }
      }
      const auto out = run();
      x = out.y;
      auxiliary = sum(ex, {auxiliary, out.moe.auxiliary});
      if (pass.layers != nullptr && blocks_[b].has_experts()) pass.layers->push_back(out.moe);
    }
    return {config_.block.norm == NormPlace::before ? last_norm_(ex, x) : x, auxiliary};
  }

  /// Next-word cross-entropy; a label below zero does not count, neither here nor in auxiliary losses, loads and pools.
  /// `layers` as in Pass. Throws ShapeError, ConfigError.
  template <Executor Ex>
  [[nodiscard]] Loss loss(Ex& ex, const View<const int>& ids, const View<const int>& labels, const Sequences& sequences,
                          std::vector<LayerOutput>* layers = nullptr) const {
    const auto counted = count_tokens(ex, ids.size(), sequences.document, labels);
    const Output out = forward(ex, ids, sequences, {.layers = layers, .counted = counted});
    const auto next = projected_cross_entropy<Ex>(ex, out.hidden, output_.weight, output_.bias, labels);
    return {sum(ex, {next.mean, out.auxiliary}), next.mean, next.losses};
  }

  /// Scores of all words for rows of forward()'s hidden.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> logits(Ex& ex, const Tensor<T>& hidden) const {
    return output_(ex, hidden);
  }

  /// Scores [rows, vocabulary] of the words after these, which follow those in the cache: ids [sequences · new words].
  template <Executor Ex>
  [[nodiscard]] Tensor<T> decode(Ex& ex, const View<const int>& ids, Cache& cache) const {
    return logits(ex, extend(ex, ids, cache));
  }
  /// Puts words into the cache without scoring those after them.
  template <Executor Ex>
  void prefill(Ex& ex, const View<const int>& ids, Cache& cache) const {
    (void)extend(ex, ids, cache);
  }
  /// Room for `tokens` words of each of `sequences` texts; Backend::space() for the backend that decodes.
  [[nodiscard]] Cache make_cache(Index sequences, Index tokens, const MemorySpace& space) const {
    Cache cache{{}, 0, sequences};
    for (const auto& block : blocks_) cache.blocks.push_back(block.make_cache(sequences, tokens, space));
    return cache;
  }

  /// Room for one text of `tokens` words that lies over all ranks. All put its first words into it together, at least
  /// one a rank, then decode each word together: each rank has a part of them, and all get the same scores.
  template <class B>
  [[nodiscard]] Cache make_spread_cache(B& backend, Index tokens) const {
    if constexpr (kAlone<B>) {
      return make_cache(1, tokens, backend.space());
    } else {
      Cache cache = make_cache(1, tokens / backend.size() + 2, backend.space());  // both shares are rounded up
      cache.kept = 0;
      return cache;
    }
  }

  /// As the constructor got it.
  [[nodiscard]] const Config& config() const { return config_; }

 private:
  /// Throws ConfigError for a cache that make_cache() did not make for this model.
  void require_cache(const Cache& cache) const {
    if (config_.block.span > 0)
      fail<ConfigError>("decoding", "a model whose words see their whole text, block.span 0",
                        std::to_string(config_.block.span),
                        "score whole texts with forward(), or train without a span");
    if (cache.sequences < 1 || cache.blocks.size() != blocks_.size())
      fail<ConfigError>(
          "decoding", "a cache of this model, for at least one text and " + std::to_string(blocks_.size()) + " blocks",
          "one for " + std::to_string(cache.sequences) + " texts and " + std::to_string(cache.blocks.size()) +
              " blocks",
          "make it with make_cache(texts, tokens, space)");
  }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> extend(Ex& ex, const View<const int>& ids, Cache& cache) const {
    require_cache(cache);
    if constexpr (!kAlone<Ex>)
      if (cache.kept >= 0) return extend_over_ranks(ex, ids, cache);
    if (ids.size() == 0 || ids.size() % cache.sequences != 0)
      fail<ShapeError>("decoding", "as many words for each of " + std::to_string(cache.sequences) + " sequences",
                       std::to_string(ids.size()), "decode all sequences of the cache together");
    const Index rows = ids.size() / cache.sequences;
    const Sequences sequences{.length = cache.past + rows, .past = cache.past};
    const Tensor<T> hidden = forward(ex, ids, sequences, {.cache = &cache}).hidden;
    cache.past += rows;
    return hidden;
  }
  /// The hidden rows of this rank's share of a text's first words, or of one word more.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> extend_over_ranks(Ex& ex, const View<const int>& ids, Cache& cache) const {
    const Index ranks = ex.backend().size(), rank = ex.backend().rank();
    if (cache.past == 0) {
      const Share share = Share::of(ids.size(), rank, ranks);
      (void)ex.backend().share_batch(ids.size());
      const Sequences sequences{.length = share.end, .past = share.begin, .spread = ids.size()};
      const Tensor<T> hidden =
          forward(ex, {ids.data + share.begin, {share.count()}}, sequences, {.cache = &cache}).hidden;
      cache.past = ids.size();
      cache.kept = share.count();
      return hidden;
    }
    (void)ex.backend().share_batch(ranks);  // each has the word
    const Sequences sequences{.length = cache.past + ids.size(), .past = cache.past, .kept = cache.kept};
    const Tensor<T> hidden = forward(ex, ids, sequences, {.cache = &cache}).hidden;
    cache.kept += detail::keeper(ex, cache.past) == rank ? 1 : 0;
    ++cache.past;
    return hidden;
  }
  static const Config& checked(const Config& config) {
    const auto require = [](const char* name, Index value, Index least, const char* remedy) {
      require_option("language model", name, value, value >= least, "≥ " + std::to_string(least), remedy);
    };
    require("vocabulary", config.vocabulary, 2, "set how many words there are");
    require("positions", config.positions, 1, "set the longest sequence's length");
    require("blocks", config.blocks, 1, "set how many blocks there are");
    require("moe_every", config.moe_every, 0, "1 puts experts into every block, 0 into none");
    if (config.moe_every != 1)
      require("block.hidden", config.block.hidden, 1, "set the feed-forward width of blocks without experts");
    if (config.moe_every > 0 && config.moe.width != config.block.width)
      fail<ConfigError>("language model", "experts of the blocks' width " + std::to_string(config.block.width),
                        std::to_string(config.moe.width), "give moe.width and block.width the same value");
    return config;
  }

  /// Earlier activations, for layers whose inhibition reads them.
  static std::span<const Tensor<T>> shown(const std::array<Tensor<T>, 1>& earlier) {
    constexpr bool kPretext = requires(typename Layer::Config c) { c.inhibition.earlier_widths; };
    return kPretext ? std::span<const Tensor<T>>(earlier) : std::span<const Tensor<T>>{};
  }
  /// Whether a block's activations are dropped before the next block begins.
  template <Executor Ex>
  static bool keeps_outputs_alone(const Pass& pass) {
    return kInference<Ex> && pass.layers == nullptr;
  }
  /// Runs a block of inference and keeps its output alone, in `kept`. Returns the auxiliary losses so far.
  template <Executor Ex, class Run>
  static Tensor<T> alone(Ex& ex, const Run& run, const Tensor<T>& kept, const Tensor<T>& auxiliary) {
    const Tensor<T> total = ex.tensor(Shape::scalar(), false);
    const auto scope = ex.backend().scope();
    const auto out = run();
    copy_into(ex, out.y, kept);
    if (!out.moe.auxiliary.defined()) return auxiliary;
    copy_into(ex, sum(ex, {auxiliary, out.moe.auxiliary}), total);
    return total;
  }

  Config config_;
  nn::Embedding<T> embedding_;
  Parameter<T> positions_;  ///< [span, width / heads]
  std::vector<TransformerBlock<Layer>> blocks_;
  nn::LayerNorm<T> last_norm_;
  nn::Linear<T> output_;
};

}  // namespace neuroinhib
