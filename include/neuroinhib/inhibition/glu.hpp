#pragma once

#include <neuroinhib/inhibition/gated.hpp>
#include <neuroinhib/nn/linear.hpp>

namespace neuroinhib {

/// G(x): one linear layer on the router's input (Neural Inhibition, eq. 1).
struct Glu {
  static constexpr std::string_view kName = "glu";
  static constexpr bool kLocal = true;
  struct Config {};

  template <class T>
  struct Module {
    nn::Linear<T> gate;  ///< G

    Module(const Config&, const InhibitionSizes& sizes) : gate(sizes.features, sizes.gated) {}
    void visit(auto&& v) { v("gate", gate); }
    template <Executor Ex>
    [[nodiscard]] Tensor<T> term(Ex& ex, const InhibitionInputs<T>& inputs) const {
      return gate(ex, inputs.features);
    }
  };
};

/// z* = z ⊙ σ(G(x)): single cross-layer inhibition.
using GluInhibition = Gated<Glu>;

}  // namespace neuroinhib
