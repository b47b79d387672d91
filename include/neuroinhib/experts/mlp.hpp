#pragma once

#include <neuroinhib/experts/expert.hpp>
#include <neuroinhib/ops/activation/op.hpp>

namespace neuroinhib {

/// g_k: linear layers with an activation between them, of any depth; no hidden layer makes a linear expert.
template <class ActivationTag = Relu>
struct Mlp {
  struct Config {
    Activation output = Activation::identity;  ///< after the last layer (the paper's recipe: tanh)
    bool bias = true;                          ///< whether the linear layers have biases
  };

  template <class T>
  struct Module {
    std::vector<ExpertLinear<T>> layers;
    Activation output;  ///< after the last layer

    Module(const Config& config, const ExpertSizes& sizes) : output(config.output) {
      Index in = sizes.features;
      for (const Index width : sizes.hidden) {
        layers.emplace_back(sizes.experts, in, width, config.bias);
        in = width;
      }
      layers.emplace_back(sizes.experts, in, sizes.output, config.bias);
    }
    void visit(auto&& v) { v("layers", layers); }

    template <Executor Ex>
    [[nodiscard]] Tensor<T> forward(Ex& ex, const Tensor<T>& x, const RoutingPlan& plan) const {
      Tensor<T> y = layers[0](ex, x, plan, ExpertRows::tokens);
      for (std::size_t i = 1; i < layers.size(); ++i)
        y = layers[i](ex, activate(ex, y, ActivationTag::kind), plan, ExpertRows::slots);
      return activate(ex, y, output);
    }
  };
};

}  // namespace neuroinhib
