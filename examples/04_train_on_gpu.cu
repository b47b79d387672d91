// The spirals of 02_train on a GPU: the same policies, with the step captured and replayed as a CUDA graph.

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/cuda.cuh>

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
  Tensor<float> loss(auto& ex, const Tensor<float>& points, const View<int>& labels) {
    const auto hidden = moe.forward(ex, activate(ex, input(ex, points), Activation::tanh));
    return sum(ex, {cross_entropy(ex, output(ex, hidden.y), labels), hidden.auxiliary});
  }
};

void train() {
  constexpr Index kPoints = 512;
  std::vector<float> values(2 * kPoints);
  std::vector<int> sides(kPoints);
  for (Index i = 0; i < kPoints; ++i) {
    const double turn = 4.0 * static_cast<double>(i - i % 2) / kPoints, side = i % 2 == 0 ? 1 : -1;
    values[static_cast<std::size_t>(2 * i)] = static_cast<float>(side * turn * std::cos(2 * turn) / 4);
    values[static_cast<std::size_t>(2 * i + 1)] = static_cast<float>(side * turn * std::sin(2 * turn) / 4);
    sides[static_cast<std::size_t>(i)] = static_cast<int>(i % 2);
  }

  Cuda<float> cuda({.device = 0, .seed = 1});
  std::printf("%s\n", cuda.describe().c_str());
  Storage<float> kept(cuda.space());  // what steps read must stay in one place
  Storage<int> kept_labels(cuda.space());
  kept.assign(values.data(), 2 * kPoints);
  kept_labels.assign(sides.data(), kPoints);
  const View<int> labels{kept_labels.data(), {kPoints}};
  Tensor<float> points, loss;
  points.data = kept.data();
  points.shape = {kPoints, 2};

  Classifier model;
  Parameters<float> parameters(model, /*seed=*/1, cuda.space());
  Adam<float> adam(parameters, {.learning_rate = 5e-3});
  const auto step = [&] {
    Recording ex(cuda);
    loss = model.loss(ex, points, labels);
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
