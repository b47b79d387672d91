#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

/// The networks of Table 1 of "Neural Inhibition Improves Dynamic Routing and Mixture of Experts" (section 4.1).
namespace mixed_numbers {

using namespace neuroinhib;

inline constexpr Index kImage = 28, kClasses = 10, kHidden = 128, kExperts = 5, kChosen = 3;

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
  static constexpr Index kPooled = 24 * 24 * 64, kFeatures = 10 * 10 * 32;
  nn::Conv2d<T> conv1{1, 64, 3, {.activation = Activation::relu, .pool = {.kernel = 3, .stride = 1}}};
  nn::Conv2d<T> conv2{64, 32, 4, {.activation = Activation::relu, .pool = {.kernel = 3, .stride = 2}}};

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
    return {pooled, features.reshaped({images.rows(), kFeatures})};
  }
};

/// Row "baseline": the body and two linear layers.
template <class Recipe, class T>
struct BaselineNetwork {
  using Scalar = T;
  Body<T> body;
  nn::Linear<T> hidden{Body<T>::kFeatures, kHidden}, output{kHidden, kClasses};

  void visit(auto&& v) {
    v("body", body);
    v("hidden", hidden);
    v("output", output);
  }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> logits(Ex& ex, const Tensor<T>& images) {
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
  nn::Linear<T> output{kHidden, kClasses};

  explicit MoeNetwork(const typename Inhibition::Config& inhibition)
      : moe({.width = Body<T>::kFeatures,
             .experts = kExperts,
             .hidden = {kHidden},
             .output = kHidden,
             .router = {.hidden = kHidden},
             .inhibition = inhibition,
             .expert = {.output = Recipe::kExpertOutput}}) {}

  void visit(auto&& v) {
    v("body", body);
    v("moe", moe);
    v("output", output);
  }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> logits(Ex& ex, const Tensor<T>& images) {
    const auto [pooled, features] = body.forward(ex, images);
    std::array<Tensor<T>, 1> earlier{pooled};
    constexpr bool kPretext = requires(typename Inhibition::Config c) { c.earlier_widths; };
    const auto moe_output = moe.forward(ex, layer_norm<Ex>(ex, features),
                                        kPretext ? std::span<const Tensor<T>>(earlier) : std::span<const Tensor<T>>{});
    const Tensor<T> scores = output(ex, moe_output.y);
    moe.tap(ex, "logits", scores);
    return scores;
  }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> loss(Ex& ex, const Tensor<T>& logits, const View<int>& labels) const {
    return Recipe::loss(ex, logits, labels);
  }
};

/// A row of Table 1 and what the paper measured: test accuracy, mean and deviation over 5 initialisations.
struct Row {
  std::string_view name, title;
  double published, published_deviation;
};
inline constexpr std::array<Row, 8> kRows{{{"baseline", "Baseline model", .814, .017},
                                           {"moe", "MoE 3/5 experts", .923, .056},
                                           {"random25", "Random (dropout 0.25)", .949, .020},
                                           {"random50", "Random (dropout 0.5)", .951, .019},
                                           {"random75", "Random (dropout 0.75)", .959, .0081},
                                           {"glu", "One-layer I. (GLU)", .955, .0068},
                                           {"pretext", "Pre-text Inhibition", .966, .0023},
                                           {"global", "Global Inhibition", .967, .0034}}};

/// How Global inhibition is wired in Table 1: pooled conv 1 before, gate mask, router, MoE output and logits after.
inline GlobalInhibition::Config global_config() {
  GlobalInhibition::Config config;
  config.earlier_widths = {Body<float>::kPooled};
  config.sources.push_back({"logits", kClasses});
  return config;
}

/// Makes the row's network in place and calls use(network). Throws ConfigError for a name that is no row.
template <class Recipe, class T, class Use>
auto with_network(std::string_view row, const Use& use) {
  const auto moe = [&]<class Inhibition>(const typename Inhibition::Config& config) {
    MoeNetwork<Recipe, Inhibition, T> network(config);
    return use(network);
  };
  if (row == "baseline") {
    BaselineNetwork<Recipe, T> network;
    return use(network);
  }
  if (row == "moe") return moe.template operator()<NoInhibition>({});
  if (row == "random25") return moe.template operator()<RandomInhibition>({.p = .25});
  if (row == "random50") return moe.template operator()<RandomInhibition>({.p = .5});
  if (row == "random75") return moe.template operator()<RandomInhibition>({.p = .75});
  if (row == "glu") return moe.template operator()<GluInhibition>({});
  if (row == "pretext") {
    PretextInhibition::Config config;
    config.earlier_widths = {Body<T>::kPooled};
    return moe.template operator()<PretextInhibition>(config);
  }
  if (row == "global") return moe.template operator()<GlobalInhibition>(global_config());
  fail<ConfigError>("row", "baseline, moe, random25, random50, random75, glu, pretext or global", std::string(row),
                    "choose among them, or \"all\"");
}

}  // namespace mixed_numbers
