// Training: a recording of the same forward, a loss, its gradients, an optimizer with a schedule.
//
// Output:
//   step   0: loss 0.7
//   step 200: loss 0.0
//   step 400: loss 0.0
//   100 % of the points right

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

int main() {
  // Two interleaved spirals of 256 points each.
  std::vector<float> values;
  std::vector<int> labels;
  for (float turn = 0; turn < 4; turn += 1.0F / 64)
    for (const int label : {0, 1}) {
      const float radius = label == 0 ? turn / 4 : -turn / 4;
      values.insert(values.end(), {radius * std::cos(2 * turn), radius * std::sin(2 * turn)});
      labels.push_back(label);
    }
  const auto points = tensor(values, {512, 2});

  using Layer = MoeLayer<TwoLayerRouter<Tanh>, GluInhibition, TopM<2>, Mlp<Tanh>>;
  Layer layer({.width = 2, .experts = 4, .hidden = {32, 32}, .output = 2, .router = {.hidden = 16}});
  Parameters<float> parameters(layer, /*seed=*/1);
  Adam<float> adam(parameters, {.learning_rate = 1e-2});

  Cpu cpu;
  for (Index step = 0; step <= 400; ++step) {
    Recording ex(cpu);  // the same forward, recorded for backward()
    const auto loss = cross_entropy(ex, layer.forward(ex, points).y, labels);
    ex.backward(loss);
    clip_gradient_norm(cpu, parameters, 1.0);
    adam.step(cpu, parameters, schedule::warmup_cosine(step, 20, 400));
    if (step % 200 == 0) std::printf("step %3td: loss %.1f\n", step, loss[0]);
  }

  cpu.begin_step();
  const auto logits = layer.forward(cpu, points).y;
  int right = 0;
  for (Index i = 0; const int label : labels) {
    right += (logits(i, 1) > logits(i, 0)) == (label == 1) ? 1 : 0;
    ++i;
  }
  std::printf("%.0f %% of the points right\n", 100 * right / 512.0);
}
