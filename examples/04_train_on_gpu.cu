// The spirals of 02_train on a GPU: the same policies, with the step captured and replayed as a CUDA graph.

#include <neuroinhib/cuda.cuh>

#include <cstdio>

#include "spirals.hpp"

using namespace spirals;

void train() {
  Cuda<float> cuda({.device = 0, .seed = 1});
  std::printf("%s\n", cuda.describe().c_str());
  const Data data;
  Storage<float> kept(cuda.space());  // what steps read must stay in one place
  Storage<int> kept_labels(cuda.space());
  kept.assign(data.points.data(), 2 * kPoints);
  kept_labels.assign(data.labels.data(), kPoints);
  const View<int> labels{kept_labels.data(), {kPoints}};
  Tensor<float> points, loss;
  points.data = kept.data();
  points.shape = {kPoints, 2};

  Classifier model;
  Parameters<float> parameters(model, /*seed=*/1, cuda.space());
  Adam<float> adam(parameters, {.learning_rate = 5e-3});
  const auto step = [&] {
    Recording ex(cuda);
    const auto [logits, auxiliary] = model.forward(ex, points);
    loss = sum(ex, {cross_entropy(ex, logits, labels), auxiliary});
    ex.backward(loss);
    adam.step(cuda, parameters);
  };
  for (int i = 0; i < 3; ++i) step();              // memory takes its final size
  const CudaGraph graph = cuda.capture(step, 10);  // ten steps, launched as one
  for (Index i = 0; i < 40; ++i) cuda.replay(graph, schedule::warmup_cosine(10 * i, 20, 400));
  std::printf("loss %.4f after %lld steps\n", cuda.value(loss.data), static_cast<long long>(cuda.random().step));
}

int main() {
  try {
    train();
  } catch (const CudaError& error) {
    std::printf("%s\n", error.what());
    return 77;  // no GPU to train on
  }
}
