#pragma once

#include <neuroinhib/experts/expert.hpp>
#include <neuroinhib/ops/activation/op.hpp>
#include <neuroinhib/ops/dropout/op.hpp>

namespace neuroinhib {

/// g_k: linear layers with an activation between them, of any depth; no hidden layer makes a linear expert.
template <class ActivationTag = Relu>
struct Mlp {
  struct Config {
    Activation output = Activation::identity;  ///< after the last layer (the paper's recipe: tanh)
    bool bias = true;                          ///< whether the linear layers have biases
    double dropout = 0;                        ///< on what hidden layers give
  };

  template <class T>
  struct Module {
    std::vector<ExpertLinear<T>> layers;
    Activation output;  ///< after the last layer
    double dropped;     ///< share of what hidden layers give

    /// Throws ConfigError unless 0 ≤ dropout < 1.
    Module(const Config& config, const ExpertSizes& sizes) : output(config.output), dropped(config.dropout) {
      require_dropout("expert", dropped);
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
        y = layers[i](ex, dropout(ex, activate(ex, y, ActivationTag::kind), dropped, plan.order), plan,
                      ExpertRows::slots);
      return activate(ex, y, output);
    }
  };
};

}  // namespace neuroinhib
