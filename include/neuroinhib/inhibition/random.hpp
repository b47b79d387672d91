#pragma once

#include <neuroinhib/inhibition/inhibition.hpp>
#include <neuroinhib/ops/dropout/op.hpp>

namespace neuroinhib {

/// z* = dropout_p(z): random inhibition (Neural Inhibition, section 3.1); the identity unless training.
struct RandomInhibition {
  struct Config {
    double p = 0.5;  ///< share of neurons suppressed, in [0, 1)
  };

  template <class T>
  struct Module {
    /// Throws ConfigError unless 0 ≤ p < 1.
    Module(const Config& config, const InhibitionSizes&) : p(config.p) { require_dropout("random inhibition", p); }
    void visit(auto&&) {}
    template <Executor Ex>
    [[nodiscard]] Inhibited<T> inhibit(Ex& ex, const Tensor<T>& z, const InhibitionInputs<T>&) const {
      return {dropout(ex, z, p), {}};
    }
    template <Executor Ex>
    void tap(Ex&, std::string_view, const Tensor<T>&) const {}

    double p;  ///< share of neurons suppressed
  };
};

}  // namespace neuroinhib
