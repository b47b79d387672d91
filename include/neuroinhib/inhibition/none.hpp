#pragma once

#include <neuroinhib/inhibition/inhibition.hpp>

namespace neuroinhib {

/// z* = z: a plain mixture of experts.
struct NoInhibition {
  struct Config {};

  template <class T>
  struct Module {
    Module(const Config&, const InhibitionSizes&) {}
    void visit(auto&&) {}
    template <Executor Ex>
    [[nodiscard]] Inhibited<T> inhibit(Ex&, const Tensor<T>& z, const InhibitionInputs<T>&) const {
      return {z, {}};
    }
    template <Executor Ex>
    void tap(Ex&, std::string_view, const Tensor<T>&) const {}
  };
};

}  // namespace neuroinhib
