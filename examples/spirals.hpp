#pragma once

#include <cmath>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

/// What the training examples share: two interleaved spirals, and a small MoE classifier of their points.
namespace spirals {

using namespace neuroinhib;

inline constexpr Index kPoints = 512;

struct Data {
  std::vector<float> points = std::vector<float>(2 * kPoints);  ///< [kPoints, 2]
  std::vector<int> labels = std::vector<int>(kPoints);

  Data() {
    for (Index i = 0; i < kPoints; ++i) {
      const double turn = 4.0 * static_cast<double>(i - i % 2) / kPoints, side = i % 2 == 0 ? 1 : -1;
      points[static_cast<std::size_t>(2 * i)] = static_cast<float>(side * turn * std::cos(2 * turn) / 4);
      points[static_cast<std::size_t>(2 * i + 1)] = static_cast<float>(side * turn * std::sin(2 * turn) / 4);
      labels[static_cast<std::size_t>(i)] = static_cast<int>(i % 2);
    }
  }
};

struct Classifier {
  nn::Linear<float> input{2, 32};
  MoeLayer<TwoLayerRouter<Tanh>, GluInhibition, TopM<2>, Mlp<Tanh>> moe{
      {.width = 32, .experts = 4, .hidden = {32}, .auxiliary = {.balance = 0.01}, .router = {.hidden = 16}}};
  nn::Linear<float> output{32, 2};

  void visit(auto&& v) {
    v("input", input);
    v("moe", moe);
    v("output", output);
  }
  struct Answer {
    Tensor<float> logits, auxiliary;
  };
  Answer forward(auto& ex, const Tensor<float>& points) {
    const auto hidden = moe.forward(ex, activate(ex, input(ex, points), Activation::tanh));
    return {output(ex, hidden.y), hidden.auxiliary};
  }
};

}  // namespace spirals
