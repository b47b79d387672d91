#pragma once

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <neuroinhib/moe/transformer_block.hpp>
#include <neuroinhib/ops/arithmetic/op.hpp>
#include <neuroinhib/ops/cross_entropy/op.hpp>
#include <neuroinhib/ops/patches/op.hpp>
#include <neuroinhib/ops/strided_rows/op.hpp>

namespace neuroinhib {

/// A vision transformer with MoE layers in some blocks (V-MoE, Riquelme et al. 2021): images → patches and a class
/// token → blocks → the class token → scores of classes. Blocks with experts take turns among the kinds of layers, so
/// that similarity-inform and attention-inform layers may alternate.
template <class... Layers>
class VisionModel {
 public:
  using Scalar = typename std::tuple_element_t<0, std::tuple<Layers...>>::Scalar;
  /// The same.
  using T = Scalar;
  /// What forward() gives of each block with experts, where it is asked for.
  using LayerOutput = MoeOutput<T>;

  struct Config {
    Index height = 0, width = 0, channels = 1;  ///< of an image
    Index patch = 0;                            ///< side of a patch in pixels, which divides height and width
    Index classes = 0;                          ///< how many classes there are to tell apart
    Index blocks = 0;                           ///< how many blocks
    std::vector<Index> experts_in{};            ///< numbers of the blocks that have experts, from 0, rising
    TransformerOptions block{.activation = Activation::gelu};  ///< attention and norms of every block
    std::tuple<typename Layers::Config...> moe{};              ///< of each kind of MoE layer

    /// Tokens of an image: the class token, then its patches.
    [[nodiscard]] Index tokens() const { return 1 + height / patch * (width / patch); }
  };

  /// Of forward().
  struct Output {
    Tensor<T> logits;     ///< [images, classes]
    Tensor<T> auxiliary;  ///< a scalar: the layers' auxiliary losses; undefined where all are off
  };

  /// Of loss().
  struct Loss {
    Tensor<T> total;   ///< a scalar: the mean cross-entropy and the auxiliary losses
    Tensor<T> mean;    ///< the mean cross-entropy, in nats an image
    Tensor<T> logits;  ///< [images, classes]
  };

  /// Throws ConfigError.
  explicit VisionModel(const Config& config)
      : config_(checked(config)),
        embedding_(config.patch * config.patch * config.channels, config.block.width, false),
        positions_({config.tokens(), config.block.width}, init::normal(0.02)),
        norm_(config.block.width),
        output_(config.block.width, config.classes) {
    std::size_t with_experts = 0;
    for (Index b = 0; b < config.blocks; ++b) {
      const bool experts = with_experts < config.experts_in.size() && config.experts_in[with_experts] == b;
      blocks_.push_back(block(config, experts ? with_experts % sizeof...(Layers) : 0, experts));
      if (experts) ++with_experts;
    }
  }

  void visit(auto&& v) {
    v("embedding", embedding_);
    v("positions", positions_);
    v("blocks", blocks_);
    v("norm", norm_);
    v("output", output_);
  }

  /// images [count, height, width, channels]. `layers` takes the output of every block with experts, valid as long as
  /// the step. Throws ShapeError.
  template <Executor Ex>
  [[nodiscard]] Output forward(Ex& ex, const Tensor<T>& images, std::vector<LayerOutput>* layers = nullptr) const {
    require_shape("vision model", {images.shape[0], config_.height, config_.width, config_.channels}, images.shape,
                  "store images channels last, of the size the model was made for");
    const Index count = images.shape[0], tokens = config_.tokens(), row = tokens * config_.block.width;
    // The class token is the first position: its patch is of zeros.
    const Tensor<T> embedded = embedding_(ex, patches(ex, images, config_.patch, 1));
    Tensor<T> x = add<Ex>(ex, embedded.reshaped({count, row}), position_row(row));
    x = dropout(ex, x.reshaped({count * tokens, config_.block.width}), config_.block.dropout);
    Tensor<T> auxiliary;
    if (layers != nullptr) layers->clear();
    for (const Block& block : blocks_) {
      const auto [y, moe] = block.forward(ex, x, {.length = tokens, .mask = Mask::none});
      x = y;
      auxiliary = sum(ex, {auxiliary, moe.auxiliary});
      if (layers != nullptr && moe.y.defined()) layers->push_back(moe);
    }
    return {output_(ex, norm_(ex, strided_rows(ex, x, tokens))), auxiliary};
  }

  /// Cross-entropy of the classes `labels` [images]. Throws ShapeError, and ConfigError for a label beyond the classes.
  template <Executor Ex>
  [[nodiscard]] Loss loss(Ex& ex, const Tensor<T>& images, const View<int>& labels,
                          std::vector<LayerOutput>* layers = nullptr) const {
    const Output out = forward(ex, images, layers);
    const Tensor<T> mean = cross_entropy(ex, out.logits, labels);
    return {sum(ex, {mean, out.auxiliary}), mean, out.logits};
  }

  /// What it was made of.
  [[nodiscard]] const Config& config() const { return config_; }

 private:
  struct Block {
    using Kind = std::variant<TransformerBlock<Layers>...>;
    Kind kind;

    void visit(auto&& v) {
      std::visit([&](auto& block) { block.visit(v); }, kind);
    }
    template <Executor Ex>
    [[nodiscard]] std::pair<Tensor<T>, MoeOutput<T>> forward(Ex& ex, const Tensor<T>& x,
                                                             const Sequences& sequences) const {
      return std::visit(
          [&](const auto& block) {
            const auto out = block.forward(ex, x, sequences);
            return std::pair{out.y, out.moe};
          },
          kind);
    }
  };

  /// A block of kind number `kind`, which is at least I.
  template <std::size_t I = 0>
  static Block block(const Config& config, std::size_t kind, bool experts) {
    if constexpr (I + 1 < sizeof...(Layers))
      if (kind > I) return block<I + 1>(config, kind, experts);
    return {typename Block::Kind(std::in_place_index<I>, config.block, experts ? &std::get<I>(config.moe) : nullptr)};
  }
  [[nodiscard]] Tensor<T> position_row(Index size) const {
    return static_cast<const Tensor<T>&>(positions_).reshaped({1, size});
  }

  static const Config& checked(const Config& config) {
    const auto require = [](const char* name, Index value, Index least, const char* remedy) {
      require_option("vision model", name, value, value >= least, "≥ " + std::to_string(least), remedy);
    };
    require("height", config.height, 1, "set the images' height");
    require("width", config.width, 1, "set the images' width");
    require("channels", config.channels, 1, "1 is grey, 3 is colour");
    require("patch", config.patch, 1, "set the side of a patch");
    require("classes", config.classes, 2, "set how many classes there are");
    require("blocks", config.blocks, 1, "set how many blocks there are");
    if (config.height % config.patch != 0 || config.width % config.patch != 0)
      fail<ConfigError>(
          "vision model",
          "a patch that divides " + std::to_string(config.height) + " × " + std::to_string(config.width) + " pixels",
          std::to_string(config.patch), "set patch to a side that divides both, or crop the images");
    Index before = -1;
    for (const Index block : config.experts_in) {
      if (block <= before || block >= config.blocks)
        fail<ConfigError>("vision model",
                          "rising numbers of blocks with experts, from 0 to " + std::to_string(config.blocks - 1),
                          std::to_string(block), "list each block once in experts_in, the first as 0");
      before = block;
    }
    if (static_cast<Index>(config.experts_in.size()) < config.blocks)
      require("block.hidden", config.block.hidden, 1, "set the feed-forward width of blocks without experts");
    std::apply([&](const auto&... moe) { (require_width_of(moe, config), ...); }, config.moe);
    return config;
  }
  static void require_width_of(const auto& moe, const Config& config) {
    if (!config.experts_in.empty() && moe.width != config.block.width)
      fail<ConfigError>("vision model", "experts of the blocks' width " + std::to_string(config.block.width),
                        std::to_string(moe.width), "give each kind of layer and block.width the same width");
  }

  Config config_;
  nn::Linear<T> embedding_;
  Parameter<T> positions_;  ///< [tokens, width], the first of them the class token
  std::vector<Block> blocks_;
  nn::LayerNorm<T> norm_;
  nn::Linear<T> output_;
};

}  // namespace neuroinhib
