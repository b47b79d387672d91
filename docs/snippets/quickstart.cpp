// The program of docs/quickstart.md: a layer, its answer, and its training.

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

using Layer = MoeLayer<LinearRouter, GluInhibition, TopM<2>, Mlp<Relu>>;

int main() {
  // Eight experts of 16 hidden units for tokens of width 6; each token goes to its best two. Three outputs.
  Layer layer({.width = 6, .experts = 8, .hidden = {16}, .output = 3});
  Parameters<float> parameters(layer, /*seed=*/42);  // allocates and initialises the weights
  std::printf("%td parameters\n", parameters.count());

  // 32 tokens of three classes: the class shows in one of the first three columns.
  std::vector<float> values(32 * 6);
  std::vector<int> classes(32);
  for (std::size_t token = 0; token < 32; ++token) {
    classes[token] = static_cast<int>(token % 3);
    for (std::size_t column = 0; column < 6; ++column)
      values[6 * token + column] =
          static_cast<float>(std::sin(static_cast<double>(7 * token + 5 * column)) + (column == token % 3 ? 1 : 0));
  }
  const auto x = tensor(values, {32, 6});

  // Inference: the layer on a plain backend.
  Cpu cpu;
  const auto out = layer.forward(cpu, x);
  std::printf("y is [%td, %td]; token 0 goes to experts %d and %d\n", out.y.rows(), out.y.cols(),
              out.routing.plan.expert(0, 0), out.routing.plan.expert(0, 1));

  // Training: the same forward on a recording of that backend.
  Adam<float> adam(parameters, {.learning_rate = 5e-3});
  for (int step = 0; step <= 60; ++step) {
    Recording ex(cpu);
    const auto answer = layer.forward(ex, x);
    const auto loss = cross_entropy(ex, answer.y, classes);
    ex.backward(loss);
    adam.step(cpu, parameters);
    if (step % 20 == 0) std::printf("step %2d: loss %.2f\n", step, loss[0]);
  }
}
