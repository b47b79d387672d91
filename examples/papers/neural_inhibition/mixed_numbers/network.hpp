#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

#include "rows.hpp"

/// The networks of Table 1 of "Neural Inhibition Improves Dynamic Routing and Mixture of Experts" (section 4.1).
namespace mixed_numbers {

using namespace neuroinhib;

inline constexpr Index kClasses = 10, kChosen = 3;

/// Table 1's extents; tests use smaller ones.
struct Sizes {
  Index image = 28, channels1 = 64, channels2 = 32, hidden = 128, experts = 5;

  [[nodiscard]] Index pooled1() const { return image - 4; }
  [[nodiscard]] Index pooled2() const { return (pooled1() - 6) / 2 + 1; }
  /// Elements an image after the first pool, and after the second.
  [[nodiscard]] Index pooled() const { return pooled1() * pooled1() * channels1; }
  [[nodiscard]] Index features() const { return pooled2() * pooled2() * channels2; }
};

/// As the research code has it: tanh, softmax over the top probabilities, softmax output into the cross-entropy.
struct PaperRecipe {
  static constexpr std::string_view kName = "paper";
  using Activation = Tanh;
  using Mix = SoftmaxOfTopProbabilities<kChosen>;
  static constexpr neuroinhib::Activation kExpertOutput = neuroinhib::Activation::tanh;
  template <Executor Ex>
  static TensorOf<Ex> loss(Ex& ex, const TensorOf<Ex>& logits, const View<int>& labels) {
    return softmax_then_cross_entropy(ex, logits, labels);
  }
};

/// As the equations have it: ReLU, eq. (2) gates, logits into the cross-entropy.
struct CleanRecipe {
  static constexpr std::string_view kName = "clean";
  using Activation = Relu;
  using Mix = SoftmaxOfTopM<kChosen>;
  static constexpr neuroinhib::Activation kExpertOutput = neuroinhib::Activation::identity;
  template <Executor Ex>
  static TensorOf<Ex> loss(Ex& ex, const TensorOf<Ex>& logits, const View<int>& labels) {
    return cross_entropy(ex, logits, labels);
  }
};

/// The convolutional body that all rows share: conv 1→64 3×3, pool 3/1, conv 64→32 4×4, pool 3/2.
template <class T>
struct Body {
  nn::Conv2d<T> conv1, conv2;

  explicit Body(const Sizes& s)
      : conv1(1, s.channels1, 3, {.activation = Activation::relu, .pool = {.kernel = 3, .stride = 1}}),
        conv2(s.channels1, s.channels2, 4, {.activation = Activation::relu, .pool = {.kernel = 3, .stride = 2}}) {}

  void visit(auto&& v) {
    v("conv1", conv1);
    v("conv2", conv2);
  }
  struct Activations {
    Tensor<T> pooled;    ///< after the first pool, [images, 24, 24, 64]
    Tensor<T> features;  ///< [images, 3200]
  };
  template <Executor Ex>
  [[nodiscard]] Activations forward(Ex& ex, const Tensor<T>& images) const {
    const Tensor<T> pooled = conv1(ex, images), features = conv2(ex, pooled);
    return {pooled, features.reshaped({images.rows(), features.cols()})};
  }
};

/// Row "baseline": the body and two linear layers.
template <class Recipe, class T>
struct BaselineNetwork {
  using Scalar = T;
  Body<T> body;
  nn::Linear<T> hidden, output;

  explicit BaselineNetwork(const Sizes& s) : body(s), hidden(s.features(), s.hidden), output(s.hidden, kClasses) {}
  void visit(auto&& v) {
    v("body", body);
    v("hidden", hidden);
    v("output", output);
  }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> logits(Ex& ex, const Tensor<T>& images) const {
    const Tensor<T> features = body.forward(ex, images).features;
    return output(ex, activate(ex, hidden(ex, features), Recipe::Activation::kind));
  }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> loss(Ex& ex, const Tensor<T>& logits, const View<int>& labels) const {
    return Recipe::loss(ex, logits, labels);
  }
};

/// All other rows: the body, layer norm, the MoE layer with its inhibition, one linear layer.
template <class Recipe, class Inhibition, class T>
struct MoeNetwork {
  using Scalar = T;
  using Layer = MoeLayer<TwoLayerRouter<typename Recipe::Activation>, Inhibition, typename Recipe::Mix,
                         Mlp<typename Recipe::Activation>, Cpu<T>>;
  Body<T> body;
  Layer moe;
  nn::Linear<T> output;

  MoeNetwork(const Sizes& s, const typename Inhibition::Config& inhibition)
      : body(s),
        moe({.width = s.features(),
             .experts = s.experts,
             .hidden = {s.hidden},
             .output = s.hidden,
             .router = {.hidden = s.hidden},
             .inhibition = inhibition,
             .expert = {.output = Recipe::kExpertOutput}}),
        output(s.hidden, kClasses) {}

  void visit(auto&& v) {
    v("body", body);
    v("moe", moe);
    v("output", output);
  }
  struct Activations {
    MoeOutput<T> moe;
    Tensor<T> logits;
  };
  /// `earlier`: what the inhibition's terms look at; of pre-text terms the pooled first convolution.
  template <Executor Ex>
  [[nodiscard]] Activations forward(Ex& ex, const Tensor<T>& images, std::span<const Tensor<T>> earlier = {}) const {
    const auto [pooled, features] = body.forward(ex, images);
    if constexpr (requires(typename Inhibition::Config c) { c.earlier_widths; }) earlier = {&pooled, 1};
    Activations out{moe.forward(ex, layer_norm<Ex>(ex, features), earlier), {}};
    out.logits = output(ex, out.moe.y);
    moe.tap(ex, "logits", out.logits);
    return out;
  }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> logits(Ex& ex, const Tensor<T>& images) const {
    return forward(ex, images).logits;
  }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> loss(Ex& ex, const Tensor<T>& logits, const View<int>& labels) const {
    return Recipe::loss(ex, logits, labels);
  }
};

/// The rows whose inhibition is a gate: a network of MoeOutput::inhibited.mask.
inline constexpr std::array<std::string_view, 4> kGatedRows{"glu", "pretext", "posttext", "global"};

/// Makes a gated row's network in place and calls use(network). Throws ConfigError for a name that is none.
/// Pre-text reads the pooled first convolution; post-text the gate mask, router, MoE output and logits.
template <class Recipe, class T, class Use>
auto with_gated_network(std::string_view row, const Sizes& sizes, const Use& use) {
  const auto moe = [&]<class Inhibition>(const typename Inhibition::Config& config) {
    MoeNetwork<Recipe, Inhibition, T> network(sizes, config);
    return use(network);
  };
  const Pretext::Config pretext{.earlier_widths = {sizes.pooled()}};
  Posttext::Config posttext;
  posttext.sources.push_back({"logits", kClasses});
  if (row == "glu") return moe.template operator()<GluInhibition>({});
  if (row == "pretext") return moe.template operator()<PretextInhibition>(PretextInhibition::with(pretext));
  if (row == "posttext") return moe.template operator()<PosttextInhibition>(PosttextInhibition::with(posttext));
  if (row == "global") return moe.template operator()<GlobalInhibition>(GlobalInhibition::with(pretext, posttext));
  fail<ConfigError>("row", "glu, pretext, posttext or global", std::string(row), "choose among them");
}

/// The same for every row.
template <class Recipe, class T, class Use>
auto with_network(std::string_view row, const Sizes& sizes, const Use& use) {
  const auto moe = [&]<class Inhibition>(const typename Inhibition::Config& config) {
    MoeNetwork<Recipe, Inhibition, T> network(sizes, config);
    return use(network);
  };
  if (std::find(kGatedRows.begin(), kGatedRows.end(), row) != kGatedRows.end())
    return with_gated_network<Recipe, T>(row, sizes, use);
  if (row == "baseline") {
    BaselineNetwork<Recipe, T> network(sizes);
    return use(network);
  }
  if (row == "moe") return moe.template operator()<NoInhibition>({});
  if (row == "random25") return moe.template operator()<RandomInhibition>({.p = .25});
  if (row == "random50") return moe.template operator()<RandomInhibition>({.p = .5});
  if (row == "random75") return moe.template operator()<RandomInhibition>({.p = .75});
  fail<ConfigError>("row", "baseline, moe, random25, random50, random75, glu, pretext, posttext or global",
                    std::string(row), "name one of these, or all of them with \"all\"");
}

}  // namespace mixed_numbers
