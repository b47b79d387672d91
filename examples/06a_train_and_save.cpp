// A checkpoint, from which training goes on to the same bits, and a model file for 06b_serve.
//
// Output:
//   loss after 100 steps: 0.05
//   after 200 steps:      0.02, resumed to the same bits: yes

#include <cstdio>
#include <vector>

#include <neuroinhib/io/checkpoint.hpp>
#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

/// A training run: what a checkpoint keeps of it are parameters, moments of the optimizer, and the random state.
struct Run {
  MoeLayer<LinearRouter, GluInhibition> layer{{.width = 2, .experts = 4, .hidden = {16}, .output = 2}};
  Parameters<float> parameters{layer, /*seed=*/1};
  Adam<float> adam{parameters, {.learning_rate = 2e-2}};
  Cpu<float> cpu;

  float train(int steps, const Tensor<float>& points, const std::vector<int>& labels) {
    float last = 0;
    for (int step = 0; step < steps; ++step) {
      Recording ex(cpu);
      const auto loss = cross_entropy(ex, layer.forward(ex, points).y, labels);
      ex.backward(loss);
      adam.step(cpu, parameters);
      last = loss[0];
    }
    return last;
  }
};

int main() {
  // A grid of points; the class is the sign of the product of the coordinates.
  std::vector<float> values;
  std::vector<int> labels;
  for (float x = -.95F; x < 1; x += .1F)
    for (float y = -.95F; y < 1; y += .1F) {
      values.insert(values.end(), {x, y});
      labels.push_back(x * y > 0 ? 1 : 0);
    }
  const auto points = tensor(values, {400, 2});

  Run run;
  std::printf("loss after 100 steps: %.2f\n", run.train(100, points, labels));
  io::save_checkpoint("quadrants.checkpoint", run.parameters, run.adam, run.cpu.random(), {.configuration = "2-4-16"});
  const float whole = run.train(100, points, labels);

  Run resumed;
  (void)io::load_checkpoint("quadrants.checkpoint", resumed.parameters, resumed.adam, resumed.cpu.random(), "2-4-16");
  const float parts = resumed.train(100, points, labels);
  std::printf("after 200 steps:      %.2f, resumed to the same bits: %s\n", whole, parts == whole ? "yes" : "no");

  io::save_model("quadrants.safetensors", run.parameters);  // without the optimizer, for 06b_serve
}
