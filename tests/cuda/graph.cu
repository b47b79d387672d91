// The CUDA backend itself: captured steps, random numbers on the device, errors.

#include <filesystem>

#include <neuroinhib/io/checkpoint.hpp>

#include "cuda/support.cuh"

using namespace testing;

namespace {

/// A small network that draws random numbers and remembers its last iteration.
struct Network {
  using Inhibition = Gated<Glu, Posttext>;
  using Layer = MoeLayer<TwoLayerRouter<Tanh>, Inhibition, NoisyTopK<2>, SwiGlu>;
  nn::Conv2d<float> conv{1, 8, 3, {.activation = Activation::relu, .pool = {.kernel = 2, .stride = 2}}};
  Layer moe{{.width = 72,
             .experts = 4,
             .hidden = {16},
             .output = 10,
             .auxiliary = {.importance = .1, .z = .1},
             .router = {.hidden = 12},
             .mix = {.load_weight = .1}}};

  void visit(auto&& v) {
    v("conv", conv);
    v("moe", moe);
  }
};

constexpr Index kBatch = 12;

/// Trains on one batch; everything that training keeps, at the end.
struct Training {
  Cuda<float> cuda{{.seed = 5}};
  Network network;
  Parameters<float> parameters{network, 5, cuda.space()};
  Adam<float> adam{parameters, {.learning_rate = 1e-2}};
  Kept<Cuda<float>> images{{kBatch, 8, 8, 1}, Values<double>({kBatch, 8, 8, 1}, 3).values};
  Storage<int> labels{cuda.space()};
  View<float> loss;

  Training() {
    std::vector<int> numbers(kBatch);
    for (Index i = 0; i < kBatch; ++i) numbers[static_cast<std::size_t>(i)] = static_cast<int>(i % 10);
    labels.assign(numbers.data(), kBatch);
  }
  void step() {
    Recording ex(cuda);
    const auto features = network.conv(ex, images.constant());
    const auto out = network.moe.forward(ex, features.reshaped({kBatch, 72}));
    const auto total = sum(ex, {cross_entropy(ex, out.y, {labels.data(), {kBatch}}), out.auxiliary});
    ex.backward(total);
    adam.step(cuda, parameters);
    loss = total;
  }
  std::vector<float> values() {
    cuda.check();
    std::vector<float> all;
    for (const auto& entry : parameters.entries())
      for (const float value : parameters.values_of(entry)) all.push_back(value);
    for (const auto& state : parameters.states())
      for (const float value : state.values.to_host()) all.push_back(value);
    for (const float value : adam.state().second.to_host()) all.push_back(value);
    return all;
  }
};

}  // namespace

TEST_CASE("captured steps give the bits of steps one by one, random numbers and moments included") {
  Training one_by_one, captured, again;
  for (int i = 0; i < 3 + 4 * 2; ++i) one_by_one.step();
  for (int i = 0; i < 3; ++i) captured.step();
  REQUIRE(captured.cuda.settled());
  const CudaGraph graph = captured.cuda.capture([&] { captured.step(); }, 2);
  for (int i = 0; i < 4; ++i) captured.cuda.replay(graph);
  CHECK(captured.values() == one_by_one.values());
  CHECK(captured.adam.state().steps == one_by_one.adam.state().steps);
  CHECK(captured.cuda.random().step == one_by_one.cuda.random().step);
  CHECK(captured.cuda.read(captured.loss) == one_by_one.cuda.read(one_by_one.loss));

  for (int i = 0; i < 3 + 4 * 2; ++i) again.step();
  CHECK(again.values() == one_by_one.values());
}

TEST_CASE("a gradient that two kinds of operations add to is the same in a captured step") {
  const auto train = [](bool captured) {
    constexpr Index kWords = 30, kWidth = 16;
    Cuda<float> cuda;
    nn::Linear<float> layer(kWidth, kWords);  // whose weight is also the table of words
    Parameters<float> parameters(layer, 1, cuda.space());
    Adam<float> adam(parameters, {.learning_rate = 1e-2});
    Storage<int> ids(cuda.space());
    const std::vector<int> text{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};
    ids.assign(text.data(), kBatch);
    const auto step = [&] {
      Recording ex(cuda);
      const View<const int> words{ids.data(), {kBatch}};
      ex.backward(cross_entropy(ex, layer(ex, embedding(ex, layer.weight, {}, words, kBatch)), words));
      adam.step(cuda, parameters);
    };
    for (int i = 0; i < 3; ++i) step();
    if (captured)
      cuda.replay(cuda.capture(step, 6));
    else
      for (int i = 0; i < 6; ++i) step();
    cuda.check();
    return parameters.values_of(parameters.entries()[0]);
  };
  CHECK(train(true) == train(false));
}

TEST_CASE("training resumed from a checkpoint gives the bits of training that never stopped") {
  const TemporaryFolder folder;
  const auto train = [](Training& training, int replays) {
    for (int i = 0; i < 3; ++i) training.step();
    const CudaGraph graph = training.cuda.capture([&] { training.step(); }, 2);
    for (int i = 0; i < replays; ++i) training.cuda.replay(graph);
  };
  Training whole, stopped, resumed;
  train(whole, 2);
  train(whole, 1);
  train(stopped, 2);
  io::save_checkpoint(folder / "c", stopped.parameters, stopped.adam, stopped.cuda.random(), {"config", "notes"});
  CHECK(io::load_checkpoint(folder / "c", resumed.parameters, resumed.adam, resumed.cuda.random(), "config") ==
        "notes");
  train(resumed, 1);
  CHECK(resumed.values() == whole.values());
  CHECK(resumed.adam.state().steps == whole.adam.state().steps);
}

TEST_CASE("a replay takes the learning rate it is given") {
  Training a, b;
  for (int i = 0; i < 3; ++i) a.step(), b.step();
  const CudaGraph graph = a.cuda.capture([&] { a.step(); });
  a.cuda.replay(graph, 0);
  const auto before = b.parameters.values_of(b.parameters.entries()[0]);
  CHECK(a.parameters.values_of(a.parameters.entries()[0]) == before);
  a.cuda.replay(graph, 1);
  CHECK(a.parameters.values_of(a.parameters.entries()[0]) != before);
}

TEST_CASE("a step that the next one is not like cannot be captured") {
  Training training;
  training.step();
  CHECK_FALSE(training.cuda.settled());  // the memory was empty
  training.step();
  CHECK_FALSE(training.cuda.settled());  // the pooled signal was kept for the first time
  training.step();
  CHECK(training.cuda.settled());
  Training fresh;
  check_error<ConfigError>(
      [&] {
        (void)fresh.cuda.capture([&] {
          fresh.cuda.begin_training_step();
          fresh.cuda.next_step_differs();
        });
      },
      {"capture", "settled"});
}

TEST_CASE("a capture that waits for the device says so, and the backend goes on") {
  Training training;
  for (int i = 0; i < 2; ++i) training.step();
  check_error<ConfigError>(
      [&] {
        (void)training.cuda.capture([&] {
          training.step();
          (void)training.cuda.read(training.loss);
        });
      },
      {"read", "within a captured step", "move it out"});
  training.step();
  CHECK(std::isfinite(training.cuda.read(training.loss)[0]));
}

TEST_CASE("bad input is told where the host next looks") {
  Cuda<float> cuda;
  Kept<Cuda<float>> logits({3, 4}, Values<double>({3, 4}, 1).values);
  Storage<int> labels(cuda.space());
  for (const int wrong : {4, -1}) {
    const std::vector<int> all{0, wrong, 1};
    labels.assign(all.data(), 3);
    const auto loss = cross_entropy(cuda, logits.constant(), {labels.data(), {3}});
    check_error<ConfigError>([&] { (void)cuda.read(View<float>(loss)); },
                             {"labels", std::to_string(wrong) + " in row 1"});
    cuda.check();  // told once
  }
  const std::vector<int> beyond{-1, 2, 3};
  labels.assign(beyond.data(), 3);
  const auto loss =
      projected_cross_entropy<Cuda<float>>(cuda, logits.constant(), logits.constant(), {}, {labels.data(), {3}});
  check_error<ConfigError>([&] { (void)cuda.read(View<float>(loss.mean)); }, {"labels", "3 in row 2"});

  Numbers values = Values<double>({3, 4}, 1).values;
  values[5] = NAN;
  Kept<Cuda<float>> poisoned({3, 4}, values);
  Recording ex(cuda);
  const auto y = softmax(ex, poisoned.variable());
  const auto mean = batch_pool(ex, y.reshaped({12, 1}), Pooling::mean).reshaped(Shape::scalar());
  check_error<NumericError>([&] { ex.require_finite(mean, "test"); }, {"softmax", "NaN"});
}

TEST_CASE("devices and memory that are not there") {
  check_error<CudaError>([] { Cuda<float> cuda({.device = 99}); }, {"99", "nvidia-smi"});
  Cuda<float> cuda;
  (void)cuda.tensor({1 << 10, 1 << 10}, false);
  check_error<CudaError>([&] { (void)cuda.tensor({1 << 20, 1 << 20}, false); }, {"MiB free", "largest tensor"});
  check_error<ConfigError>(
      [&] {
        const std::vector<GateTerm<float>> terms(20, {cuda.tensor({2, 2}, false), true});
        (void)gate(cuda, cuda.tensor({2, 2}, false), std::span<const GateTerm<float>>(terms));
      },
      {"at most 16"});
}
