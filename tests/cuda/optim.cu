// Optimizers on the GPU: what they count in captured steps, and clipping.

#include "cuda/support.cuh"

using namespace testing;

namespace {

constexpr Index kRows = 7, kIn = 6, kOut = 4;

struct Model {
  nn::Linear<float> layer{kIn, kOut};
  void visit(auto&& v) { v("layer", layer); }
};

constexpr Index kLong = 40001;  // more than one part of the norm's sum

template <class T>
struct One {
  Parameter<T> w{{kLong}, init::constant(1)};
  void visit(auto&& v) { v("w", w); }
};

/// A model with data and an optimizer of its own.
struct Trained {
  Model model;
  Parameters<float> parameters;
  Adam<float> adam;
  Kept<Cuda<float>> x;
  Storage<int> labels;

  Trained(Cuda<float>& cuda, std::uint64_t seed)
      : parameters(model, seed, cuda.space()),
        adam(parameters, {.learning_rate = .05}),
        x({kRows, kIn}, Values<double>({kRows, kIn}, seed).values),
        labels(cuda.space()) {
    std::vector<int> numbers;
    for (int i = 0; i < kRows; ++i) numbers.push_back(i % static_cast<int>(kOut));
    labels.assign(numbers.data(), kRows);
  }
  void backward(Cuda<float>& cuda, double factor = 1) {
    Recording ex(cuda);
    const auto loss = cross_entropy(ex, model.layer(ex, dropout(ex, x.constant(), .3)), {labels.data(), {kRows}});
    ex.backward(scale(ex, loss, factor));
  }
  void step(Cuda<float>& cuda) {
    backward(cuda);
    adam.step(cuda, parameters);
  }
  [[nodiscard]] std::vector<float> values() const {
    std::vector<float> all;
    for (const auto& entry : parameters.entries())
      for (const float value : parameters.values_of(entry)) all.push_back(value);
    return all;
  }
};

/// Values after two steps one by one and `replays` more, captured or not.
template <class Step>
std::vector<float> after(Cuda<float>& cuda, Trained& trained, bool captured, int replays, const Step& step) {
  for (int i = 0; i < 2; ++i) step();
  if (captured) {
    const CudaGraph graph = cuda.capture(step);
    for (int i = 0; i < replays; ++i) cuda.replay(graph);
  } else {
    for (int i = 0; i < replays; ++i) step();
  }
  cuda.check();
  CHECK(trained.adam.state().steps == 2 + replays);
  return trained.values();
}

}  // namespace

TEST_CASE("captured steps that add up the gradients of two passes count one update and two draws of random numbers") {
  std::vector<float> expected;
  for (const bool captured : {false, true}) {
    Cuda<float> cuda({.seed = 4});
    Trained trained(cuda, 1);
    const auto values = after(cuda, trained, captured, 5, [&] {
      trained.backward(cuda, .5);
      trained.backward(cuda, .5);
      trained.adam.step(cuda, trained.parameters);
    });
    CHECK(cuda.random().step == 14);
    if (captured)
      CHECK(values == expected);
    else
      expected = values;
  }
}

TEST_CASE("two optimizers replayed in turn count their own updates each") {
  const auto train = [](bool captured) {
    Cuda<float> cuda({.seed = 4});
    Trained a(cuda, 1), b(cuda, 2);
    const auto of_a = [&] { a.step(cuda); };
    const auto of_b = [&] { b.step(cuda); };
    of_a(), of_b();
    CudaGraph graph_a, graph_b;
    if (captured) graph_a = cuda.capture(of_a), graph_b = cuda.capture(of_b);
    for (int i = 0; i < 6; ++i) {
      captured ? cuda.replay(graph_a) : of_a();
      if (i % 3 == 0) captured ? cuda.replay(graph_b) : of_b();
    }
    CHECK(a.adam.state().steps == 7);
    CHECK(b.adam.state().steps == 3);
    return std::pair{a.values(), b.values()};
  };
  CHECK(train(true) == train(false));
}

TEST_CASE("random numbers that start again leave an optimizer's count alone") {
  Cuda<float> cuda({.seed = 4});
  Trained trained(cuda, 1);
  for (int i = 0; i < 4; ++i) trained.step(cuda);
  const CudaGraph graph = cuda.capture([&] { trained.step(cuda); });
  cuda.random() = {4, 0};
  for (int i = 0; i < 3; ++i) cuda.replay(graph);
  for (const float value : trained.values()) CHECK(std::isfinite(value));
  CHECK(trained.adam.state().steps == 7);
  CHECK(cuda.random().step == 3);
}

TEST_CASE_TEMPLATE("clipping on the GPU scales as the CPU's does", T, float, double) {
  const auto clipped = [&](auto& backend, double largest) {
    One<T> module;
    Parameters<T> parameters(module, 0, backend.space());
    const auto& w = parameters.entries()[0].tensor;
    const std::vector<double> start = Values<double>({kLong}, 9).values;
    const std::vector<T> gradient(start.begin(), start.end());
    backend.begin_step();
    backend.write(View<T>{w.claim_gradient().data, {kLong}}, gradient.data());
    Numbers all{backend.read(clip_gradient_norm(backend, parameters, largest))[0]};
    for (const T value : parameters.gradient_of(parameters.entries()[0])) all.push_back(static_cast<double>(value));
    return all;
  };
  Cuda<T> cuda;
  Cpu<T> cpu;
  for (const double largest : {3.0, 1e6}) {
    const Numbers expected = clipped(cpu, largest), actual = clipped(cuda, largest);
    CHECK(actual[0] == doctest::Approx(expected[0]).epsilon(1e-12));
    CHECK(distance(actual, expected) < (sizeof(T) == 8 ? 1e-12 : 1e-6));
    CHECK(clipped(cuda, largest) == actual);
  }
}

TEST_CASE("clipping is part of a captured step") {
  enum class Kind { unclipped, one_by_one, captured };
  const auto train = [](Kind kind) {
    Cuda<float> cuda({.seed = 4});
    Trained trained(cuda, 1);
    Sgd<float> sgd(trained.parameters, {.learning_rate = 1});
    const auto step = [&] {
      trained.backward(cuda);
      if (kind != Kind::unclipped) clip_gradient_norm(cuda, trained.parameters, .01);
      sgd.step(cuda, trained.parameters);
    };
    for (int i = 0; i < (kind == Kind::captured ? 2 : 6); ++i) step();
    if (kind == Kind::captured) {
      const CudaGraph graph = cuda.capture(step, 2);
      for (int i = 0; i < 2; ++i) cuda.replay(graph);
    }
    CHECK(sgd.state().steps == 6);
    return trained.values();
  };
  const auto expected = train(Kind::one_by_one);
  CHECK(train(Kind::captured) == expected);
  CHECK(train(Kind::unclipped) != expected);
}

TEST_CASE("gradients that are not finite stay as they are, and clipping says so where the host next looks") {
  Cuda<float> cuda;
  Trained trained(cuda, 1);
  cuda.begin_step();
  const auto& tensor = trained.parameters.entries()[0].tensor;
  std::vector<float> gradient(static_cast<std::size_t>(tensor.size()), 2);
  gradient[3] = INFINITY;
  cuda.write(View<float>{tensor.claim_gradient().data, tensor.shape}, gradient.data());
  clip_gradient_norm(cuda, trained.parameters, 1);
  check_error<NumericError>([&] { cuda.check(); },
                            {"gradient clipping", "finite gradients", "norm inf", "require_finite"});
  CHECK(trained.parameters.gradient_of(trained.parameters.entries()[0]) == gradient);
  check_error<ConfigError>([&] { clip_gradient_norm(cuda, trained.parameters, 0); }, {"> 0"});
}
