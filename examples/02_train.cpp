// Trains a small MoE classifier on two interleaved spirals; the same forward runs while training and for the answer.

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

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

int main() {
  constexpr Index kPoints = 512;
  std::vector<float> values(2 * kPoints);
  std::vector<int> labels(kPoints);
  for (Index i = 0; i < kPoints; ++i) {
    const double turn = 4.0 * static_cast<double>(i - i % 2) / kPoints, side = i % 2 == 0 ? 1 : -1;
    values[static_cast<std::size_t>(2 * i)] = static_cast<float>(side * turn * std::cos(2 * turn) / 4);
    values[static_cast<std::size_t>(2 * i + 1)] = static_cast<float>(side * turn * std::sin(2 * turn) / 4);
    labels[static_cast<std::size_t>(i)] = static_cast<int>(i % 2);
  }
  const auto points = tensor(values, {kPoints, 2});

  Classifier model;
  Parameters<float> parameters(model, /*seed=*/1);
  Cpu cpu({.seed = 1});
  Adam<float> adam(parameters, {.learning_rate = 5e-3});
  for (Index step = 0; step < 400; ++step) {
    Recording ex(cpu);
    const auto [logits, auxiliary] = model.forward(ex, points);
    const auto loss = sum(ex, {cross_entropy(ex, logits, {labels.data(), {kPoints}}), auxiliary});
    ex.require_finite(loss, "spirals");
    ex.backward(loss);
    clip_gradient_norm(parameters, 1.0);
    adam.step(cpu, parameters, schedule::warmup_cosine(step, 20, 400));
    if (step % 100 == 99) std::printf("step %3td  loss %.4f\n", step + 1, loss[0]);
  }

  cpu.begin_step();
  const auto logits = model.forward(cpu, points).logits;
  Index right = 0;
  for (Index i = 0; i < kPoints; ++i)
    right += (logits(i, 1) > logits(i, 0)) == (labels[static_cast<std::size_t>(i)] == 1);
  std::printf("%td of %td points right\n", right, kPoints);
  return right > kPoints * 9 / 10 ? 0 : 1;
}
