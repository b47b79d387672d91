// Every operation's backward pass against finite differences, in double.

#include "ops/cases.hpp"

using namespace testing;

TEST_CASE("the gradient of every operation is that of finite differences") {
  for_each_operation([](const std::string& name, const std::vector<Drawn>& inputs, const auto& f) {
    INFO(name);
    auto values = draw<double>(inputs, 1);
    std::vector<Tensor<double>> variables;
    for (auto& v : values) variables.push_back(v.variable());
    check_gradient(variables, [&](auto& ex) { return f(ex, variables); });
  });
}
