#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include <neuroinhib/inhibition/posttext.hpp>

namespace neuroinhib {

/// "All-to-all" inhibition (Neural Inhibition, sections 3.1 and 6.1, left there as future work): every layer of a
/// network is gated by every other. Layer i sees the layers before it in this iteration (pre-text) and the layers after
/// it in the iteration before (post-text): z_i* = z_i ⊙ σ(Σ_{j<i} Pr_ij(z_j*) + Σ_{j>i} pool(Po_ij(z_j*^(k−1)))). A
/// module, to be kept in the network beside its layers.
template <class T>
class AllToAll {
 public:
  /// One width a layer; `options` as for Posttext, but for its sources. Throws ConfigError for fewer than two layers.
  explicit AllToAll(const std::vector<Index>& widths, Posttext::Config options = {}) {
    if (widths.size() < 2)
      fail<ConfigError>("all-to-all inhibition", "at least two layers", std::to_string(widths.size()),
                        "gate one layer with Glu");
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const InhibitionSizes sizes{.gated = widths[i]};
      Layer& layer = layers_.emplace_back();
      if (i > 0) layer.before.emplace(Pretext::Config{{widths.begin(), widths.begin() + static_cast<Index>(i)}}, sizes);
      options.sources.clear();
      for (std::size_t j = i + 1; j < widths.size(); ++j) options.sources.push_back({name(j), widths[j]});
      if (!options.sources.empty()) layer.after.emplace(options, sizes);
    }
  }

  void visit(auto&& v) {
    for (std::size_t i = 0; i < layers_.size(); ++i) v(name(i), layers_[i]);
  }

  /// z_i* for the layer's pre-activation z [tokens, width]; to be called for i = 0, 1, … in every iteration.
  /// Throws ConfigError for a layer out of turn.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> inhibit(Ex& ex, std::size_t i, const Tensor<T>& z) {
    if (i == 0) gated_.clear();
    if (i != gated_.size() || i >= layers_.size())
      fail<ConfigError>("all-to-all inhibition", "layer " + std::to_string(gated_.size()), "layer " + std::to_string(i),
                        "gate the layers one after another");
    const InhibitionInputs<T> inputs{.features = {}, .gated = z, .earlier = gated_};
    std::array<GateTerm<T>, 2> terms;
    if (layers_[i].before) terms[0].value = layers_[i].before->term(ex, inputs);
    if (layers_[i].after) terms[1].value = layers_[i].after->term(ex, inputs);
    gated_.push_back(gate<Ex>(ex, z, terms).y);
    for (std::size_t earlier = 0; earlier < i; ++earlier) layers_[earlier].after->tap(ex, name(i), gated_[i]);
    return gated_[i];
  }

 private:
  struct Layer {
    std::optional<Pretext::Module<T>> before;
    std::optional<Posttext::Module<T>> after;

    void visit(auto&& v) {
      if (before) v("pretext", *before);
      if (after) v("posttext", *after);
    }
  };

  static std::string name(std::size_t layer) { return "layer" + std::to_string(layer); }

  std::vector<Layer> layers_;
  std::vector<Tensor<T>> gated_;  ///< this iteration's z*, so far
};

}  // namespace neuroinhib
