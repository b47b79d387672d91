#include "support.hpp"

using namespace testing;

namespace {

struct One {
  Parameter<double> w{{3}, init::constant(1)};
  void visit(auto&& v) { v("w", w); }
};

/// Sets the gradient as a backward pass would.
void set_gradient(Parameters<double>& parameters, const std::vector<double>& gradient) {
  parameters.zero_gradients();
  const auto slot = parameters["w"].claim_gradient();
  for (Index i = 0; i < 3; ++i) slot.put(i, gradient[static_cast<std::size_t>(i)]);
}

template <class Optimizer, class Options>
std::vector<double> after_three_steps(const Options& options) {
  One module;
  Parameters<double> parameters(module, 0);
  Cpu<double> cpu;
  Optimizer optimizer(parameters, options);
  for (const double scale : {1.0, -0.5, 2.0}) {
    set_gradient(parameters, {0.3 * scale, -1.0 * scale, 0.02 * scale});
    optimizer.step(cpu, parameters);
  }
  const auto& w = parameters["w"];
  return {w[0], w[1], w[2]};
}

void check_close(const std::vector<double>& ours, const std::vector<double>& torch) {
  for (std::size_t i = 0; i < ours.size(); ++i) CHECK(ours[i] == doctest::Approx(torch[i]).epsilon(1e-12));
}

}  // namespace

// The expected numbers are PyTorch's for the same three gradients, in double (tests/fixtures/make_optim.py).
#include "fixtures/optim.inc"

TEST_CASE("Adam, AdamW and SGD take PyTorch's steps") {
  check_close(after_three_steps<Adam<double>>(AdamOptions{.learning_rate = 0.1}), kTorchAdam);
  check_close(after_three_steps<Adam<double>>(AdamOptions{.learning_rate = 0.1, .weight_decay = 0.05}),
              kTorchAdamDecay);
  check_close(after_three_steps<Adam<double>>(adamw(0.1, 0.05)), kTorchAdamW);
  check_close(after_three_steps<Sgd<double>>(SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.05}),
              kTorchSgd);
  check_close(after_three_steps<Sgd<double>>(SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true}),
              kTorchNesterov);
}

TEST_CASE("optimizers refuse options outside their range") {
  One module;
  Parameters<double> parameters(module, 0);
  check_error<ConfigError>([&] { Adam<double> a(parameters, {.learning_rate = -1}); }, {"Adam"});
  check_error<ConfigError>([&] { Adam<double> a(parameters, {.beta1 = 1}); }, {"beta1 in [0, 1)", "got 1", "0.9"});
  check_error<ConfigError>([&] { Adam<double> a(parameters, {.epsilon = -1e-9}); }, {"epsilon > 0", "got -1e-09"});
  check_error<ConfigError>([&] { Sgd<double> s(parameters, {.momentum = 1.5}); }, {"momentum in [0, 1)", "got 1.5"});
  check_error<ConfigError>([&] { Sgd<double> s(parameters, {.momentum = 1.5}); }, {"momentum"});
}

TEST_CASE("schedules rise, stay and fall") {
  using namespace schedule;
  CHECK(warmup(0, 10) == doctest::Approx(0.1));
  CHECK(warmup(9, 10) == 1);
  CHECK(warmup(500, 10) == 1);
  CHECK(warmup_cosine(10, 10, 110) == 1);
  CHECK(warmup_cosine(60, 10, 110) == doctest::Approx(0.5));
  CHECK(warmup_cosine(110, 10, 110, 0.1) == doctest::Approx(0.1));
  CHECK(warmup_cosine(1000, 10, 110) == doctest::Approx(0));
}

TEST_CASE("clipping scales to the norm, leaves small gradients alone and refuses NaN") {
  One module;
  Parameters<double> parameters(module, 0);
  Cpu<double> cpu;
  set_gradient(parameters, {3, 0, 4});
  CHECK(clip_gradient_norm(cpu, parameters, 1.0)[0] == doctest::Approx(5));
  CHECK(parameters.gradients()[0] == doctest::Approx(0.6));
  CHECK(clip_gradient_norm(cpu, parameters, 10.0)[0] == doctest::Approx(1));
  CHECK(parameters.gradients()[0] == doctest::Approx(0.6));
  set_gradient(parameters, {NAN, 0, 4});
  check_error<NumericError>([&] { (void)clip_gradient_norm(cpu, parameters, 1.0); }, {"finite gradients", "nan"});
  check_error<ConfigError>([&] { (void)clip_gradient_norm(cpu, parameters, 0); }, {"> 0"});
}
