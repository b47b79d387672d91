// Trains a small MoE classifier on two interleaved spirals; the same forward runs while training and for the answer.

#include <cstdio>

#include "spirals.hpp"

using namespace spirals;

int main() {
  Data data;
  std::vector<int>& labels = data.labels;
  const auto points = tensor(data.points, {kPoints, 2});

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
    clip_gradient_norm(cpu, parameters, 1.0);
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
