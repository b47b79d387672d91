// Every operation's backward pass against finite differences, in double.

#include <cstring>

#include "ops/cases.hpp"

using namespace testing;

namespace {

/// y and the inputs' gradients, computed in memory whose every byte was `byte` beforehand: 0xff makes NaN.
std::vector<std::vector<double>> outcome(const std::vector<Drawn>& inputs, const auto& f, int byte) {
  constexpr std::size_t kBytes = std::size_t{1} << 25;
  Cpu<double> cpu({.threads = 2, .seed = 3});
  std::memset(cpu.arena().allocate(kBytes), byte, kBytes);
  auto values = draw<double>(inputs, 1);
  std::vector<Tensor<double>> variables;
  for (auto& v : values) {
    std::memset(v.gradients.data(), byte, v.gradients.size() * sizeof(double));
    variables.push_back(v.variable());
  }
  Recording ex(cpu);
  const auto y = f(ex, variables);
  ex.backward(linear(ex, y.reshaped({1, y.size()}), Values<double>({1, y.size()}, 9).constant()));
  std::vector<std::vector<double>> all{{y.begin(), y.end()}};
  for (const auto& v : values) all.push_back(v.gradients);
  return all;
}

}  // namespace

TEST_CASE("the gradient of every operation is that of finite differences") {
  for_each_operation([](const std::string& name, const std::vector<Drawn>& inputs, const auto& f) {
    INFO(name);
    auto values = draw<double>(inputs, 1);
    std::vector<Tensor<double>> variables;
    for (auto& v : values) variables.push_back(v.variable());
    check_gradient(variables, [&](auto& ex) { return f(ex, variables); });
  });
}

TEST_CASE("no operation reads memory that it has not written: old content changes neither results nor gradients") {
  for_each_operation([](const std::string& name, const std::vector<Drawn>& inputs, const auto& f) {
    INFO(name);
    CHECK(outcome(inputs, f, 0xff) == outcome(inputs, f, 0));
  });
}
