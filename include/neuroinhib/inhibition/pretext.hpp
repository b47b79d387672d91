#pragma once

#include <string>
#include <vector>

#include <neuroinhib/inhibition/glu.hpp>
#include <neuroinhib/ops/elementwise/op.hpp>

namespace neuroinhib {

/// Σ_i Pr_i(x_i): one linear layer on each of any number of earlier activations (Neural Inhibition, eq. 2).
struct Pretext {
  static constexpr std::string_view kName = "pretext";
  struct Config {
    std::vector<Index> earlier_widths{};  ///< elements a token of each earlier activation, whatever its shape
  };

  template <class T>
  struct Module {
    std::vector<nn::Linear<T>> layers;  ///< Pr_i, one an earlier activation

    /// Throws ConfigError where no earlier activation is named.
    Module(const Config& config, const InhibitionSizes& sizes) {
      if (config.earlier_widths.empty())
        fail<ConfigError>("pre-text inhibition", "the width of at least one earlier activation", "none",
                          "set earlier_widths, or leave the Pretext term out");
      for (const Index width : config.earlier_widths) layers.emplace_back(width, sizes.gated);
    }
    void visit(auto&& v) { v("layers", layers); }

    /// Throws ShapeError unless as many activations come as were named, each of its width.
    template <Executor Ex>
    [[nodiscard]] Tensor<T> term(Ex& ex, const InhibitionInputs<T>& inputs) const {
      if (inputs.earlier.size() != layers.size())
        fail<ShapeError>("pre-text inhibition", std::to_string(layers.size()) + " earlier activations",
                         std::to_string(inputs.earlier.size()), "pass to forward() what earlier_widths names");
      Tensor<T> total;
      for (std::size_t i = 0; i < layers.size(); ++i) {
        const Tensor<T> one = layers[i](ex, inputs.earlier[i]);
        total = total.defined() ? sum<Ex>(ex, {total, one}) : one;
      }
      return total;
    }
  };
};

/// z* = z ⊙ σ(G(x) + Σ_i Pr_i(x_i)).
using PretextInhibition = Gated<Glu, Pretext>;

}  // namespace neuroinhib
