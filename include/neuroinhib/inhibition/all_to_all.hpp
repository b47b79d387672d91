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

  /// One iteration: gates the layers one after another. Lives as long as the executor's step.
  template <Executor Ex>
  class Pass {
   public:
    /// As made by begin().
    Pass(Ex& ex, const AllToAll& all, const CountedTokens<T>& counted)
        : ex_(ex),
          all_(all),
          counted_(counted),
          gated_(ex.backend().arena().template allocate<Tensor<T>>(static_cast<Index>(all.size()))) {}

    /// z_i* of the next layer, for its pre-activation z [tokens, width]. Throws ConfigError beyond the last layer.
    [[nodiscard]] Tensor<T> inhibit(const Tensor<T>& z) {
      if (next_ == all_.size())
        fail<ConfigError>("all-to-all inhibition", "at most " + std::to_string(all_.size()) + " layers in one pass",
                          "one more", "begin a pass for each iteration");
      const Layer& layer = all_.layers_[next_];
      const InhibitionInputs<T> inputs{.features = {}, .gated = z, .earlier = {gated_, next_}, .counted = counted_};
      std::array<GateTerm<T>, 2> terms;
      if (layer.before) terms[0].value = layer.before->term(ex_, inputs);
      if (layer.after) terms[1].value = layer.after->term(ex_, inputs);
      gated_[next_] = gate<Ex>(ex_, z, terms).y;
      for (std::size_t i = 0; i < next_; ++i) all_.layers_[i].after->tap(ex_, name(next_), gated_[next_]);
      return gated_[next_++];
    }

   private:
    Ex& ex_;
    const AllToAll& all_;
    CountedTokens<T> counted_;
    Tensor<T>* gated_;  ///< this iteration's z*, so far
    std::size_t next_ = 0;
  };

  /// Begins an iteration on a batch of which `counted` is not padding.
  template <Executor Ex>
  [[nodiscard]] Pass<Ex> begin(Ex& ex, const CountedTokens<T>& counted = {}) const {
    return {ex, *this, counted};
  }
  /// How many layers there are.
  [[nodiscard]] std::size_t size() const { return layers_.size(); }

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
};

}  // namespace neuroinhib
