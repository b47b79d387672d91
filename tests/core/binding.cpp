// What binds a module to its parameters: names, moves, memory spaces, and the optimizer made for them.

#include "support.hpp"

using namespace testing;

namespace {

using Net = MoeLayer<LinearRouter, PosttextInhibition, BalancedTopM<2>, Mlp<Tanh>, Cpu<double>>;

Net::Config small() {
  return {.width = 4, .experts = 3, .hidden = {5}};
}

struct Trained {
  Net model{small()};
  Parameters<double> parameters{model, 7};
};

std::vector<double> outputs(const Net& model, std::uint64_t seed) {
  Cpu<double> cpu;
  Values<double> x({6, 4}, seed);
  const auto y = model.forward(cpu, x.constant()).y;
  return {y.begin(), y.end()};
}

void train(Net& model, std::uint64_t seed) {
  Cpu<double> cpu;
  Recording ex(cpu);
  Values<double> x({6, 4}, seed);
  (void)model.forward(ex, x.constant());
}

/// Two parameters under one name, one parameter under two, two states under one name.
struct OneName {
  nn::Linear<double> a{2, 2}, b{2, 2};
  void visit(auto&& v) {
    v("same", a);
    v("same", b);
  }
};
struct TwoNames {
  nn::Linear<double> a{2, 2};
  void visit(auto&& v) {
    v("first", a);
    v("second", a);
  }
};
struct OneState {
  Buffer<double> a{Shape{1}}, b{Shape{1}};
  void visit(auto&& v) {
    v("same", a);
    v("same", b);
  }
};

/// The host's memory under another name, as a device's would be.
constexpr MemorySpace kElsewhere{"memory elsewhere", kSpaceOf<HostMemory>.functions, -1};

template <class M>
concept Copyable = std::copy_constructible<M>;

}  // namespace

TEST_CASE("models and their parameters may move: a vector of them grows") {
  static_assert(!Copyable<Net> && !Copyable<Parameters<double>>, "two copies would train the same memory");
  static_assert(std::is_nothrow_move_constructible_v<nn::Linear<double>>);
  Trained first;
  train(first.model, 1);
  const auto expected = outputs(first.model, 2);
  std::vector<Trained> models;
  models.push_back(std::move(first));
  for (int i = 0; i < 20; ++i) models.emplace_back();
  CHECK(outputs(models[0].model, 2) == expected);
  train(models[0].model, 3);
  CHECK(models[0].parameters.states()[0].values.size() > 0);
}

TEST_CASE("binding a used model again starts it anew, states included") {
  Trained fresh, used;
  for (const std::uint64_t seed : {1u, 3u}) train(used.model, seed);  // the second reads what the first left
  CHECK(outputs(used.model, 2) != outputs(fresh.model, 2));
  Parameters<double> again(used.model, 7);
  CHECK(outputs(used.model, 2) == outputs(fresh.model, 2));
}

TEST_CASE("names and parameters are given once") {
  OneName one_name;
  TwoNames two_names;
  OneState one_state;
  check_error<ConfigError>([&] { Parameters<double>(one_name, 1); }, {"one parameter or state a name", "same.weight"});
  check_error<ConfigError>([&] { Parameters<double>(two_names, 1); }, {"each parameter and state once"});
  check_error<ConfigError>([&] { Parameters<double>(one_state, 1); }, {"one parameter or state a name", "\"same\""});
}

TEST_CASE("a module's state before it has memory is refused") {
  Net model(small());
  Cpu<double> cpu;
  Values<double> x({2, 4}, 1);
  check_error<ConfigError>([&] { (void)model.forward(cpu, x.constant()); }, {"make Parameters(module, seed) first"});
}

TEST_CASE("an optimizer updates the parameters that it was made for, and no others") {
  nn::Linear<double> a(3, 2), same_size(3, 2), larger(30, 20);
  Parameters<double> own(a, 1), twin(same_size, 1), others(larger, 1);
  Cpu<double> cpu;
  Adam<double> adam(own, {});
  Sgd<double> sgd(own, {});
  for (Parameters<double>* wrong : {&twin, &others}) {
    check_error<ConfigError>([&] { adam.step(cpu, *wrong); }, {"Adam", "the parameters that it was made for"});
    check_error<ConfigError>([&] { sgd.step(cpu, *wrong); }, {"Sgd", "the parameters that it was made for"});
  }
  CHECK(adam.state().steps == 0);
  adam.step(cpu, own);
}

TEST_CASE("parameters and inputs in memory that the backend cannot read are refused by name") {
  Net model(small());
  Parameters<double> parameters(model, 1, kElsewhere);
  Cpu<double> cpu;
  Values<double> x({2, 4}, 1);
  check_error<ConfigError>([&] { (void)model.forward(cpu, x.constant()); },
                           {"tensors in host memory", "memory elsewhere", "backend.space()"});
  Adam<double> adam(parameters, {});
  check_error<ConfigError>([&] { adam.step(cpu, parameters); }, {"parameters in host memory", "memory elsewhere"});
  check_error<ConfigError>([&] { clip_gradient_norm(cpu, parameters, 1); }, {"clipping", "parameters in host memory"});

  nn::Linear<double> here(4, 3);
  Parameters<double> near(here, 1);
  Tensor<double> far = x.constant();
  far.space = &kElsewhere;
  check_error<ConfigError>([&] { (void)here(cpu, far); }, {"linear", "tensors in host memory", "memory elsewhere"});
}
