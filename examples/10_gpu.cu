// The spirals of 02_training on a GPU: the same policies, with the step captured and replayed as a CUDA graph.
//
// Output:
//   step   0: loss 0.7
//   step 200: loss 0.0
//   step 400: loss 0.0

#include <neuroinhib/cuda.cuh>

#include <cmath>
#include <cstdio>
#include <vector>

using namespace neuroinhib;

int main() try {
  Cuda<float> cuda;
  std::vector<float> values;
  std::vector<int> classes;
  for (float turn = 0; turn < 4; turn += 1.0F / 64)
    for (const int label : {0, 1}) {
      const float radius = label == 0 ? turn / 4 : -turn / 4;
      values.insert(values.end(), {radius * std::cos(2 * turn), radius * std::sin(2 * turn)});
      classes.push_back(label);
    }
  Storage<float> on_device(cuda.space(), values);  // a captured step finds its data in one place
  Storage<int> labels(cuda.space(), classes);
  const auto points = tensor(on_device, {512, 2});

  using Layer = MoeLayer<TwoLayerRouter<Tanh>, GluInhibition, TopM<2>, Mlp<Tanh>, Cuda<float>>;
  Layer layer({.width = 2, .experts = 4, .hidden = {32, 32}, .output = 2, .router = {.hidden = 16}});
  Parameters<float> parameters(layer, /*seed=*/1, cuda.space());
  Adam<float> adam(parameters, {.learning_rate = 1e-2});
  Tensor<float> loss;
  const auto step = [&] {
    Recording ex(cuda);
    loss = cross_entropy(ex, layer.forward(ex, points).y, labels);
    ex.backward(loss);
    clip_gradient_norm(cuda, parameters, 1.0);
    adam.step(cuda, parameters);
  };
  for (int i = 0; i < 3; ++i) step();              // memory takes its final size
  const CudaGraph graph = cuda.capture(step, 10);  // ten steps, launched as one
  for (Index i = 0; i <= 40; ++i) {
    cuda.replay(graph, schedule::warmup_cosine(10 * i, 20, 410));
    if (i % 20 == 0) std::printf("step %3td: loss %.1f\n", 10 * i, cuda.value(loss.data));
  }
} catch (const CudaError& error) {
  std::printf("%s\n", error.what());
  return 77;  // no GPU to train on
}
