// What users look at while they build and train: gradients checked, expert loads, entropy, parameters one by one.

#include <neuroinhib/analysis/check_gradients.hpp>
#include <neuroinhib/analysis/routing.hpp>

#include "support.hpp"

using namespace testing;

namespace {

/// x³, with a derivative that is wrong above 1.
struct WrongCube {
  template <class T>
  T operator()(T x) const {
    return x * x * x;
  }
  template <class T>
  T derivative(T x) const {
    return x > 1 ? x * x : 3 * x * x;
  }
};

struct Cubes {
  Parameter<double> first{{2, 3}, init::normal(.3)}, second{{4}, init::normal(.3)};
  void visit(auto&& v) {
    v("first", first);
    v("second", second);
  }
  Tensor<double> loss(auto& ex) const {
    return sum(ex, {total(ex, map(ex, WrongCube{}, first)), total(ex, map(ex, WrongCube{}, second))});
  }
};

using Layer = MoeLayer<TwoLayerRouter<Tanh>, GlobalInhibition, Dense, Mlp<Tanh>, Cpu<double>>;

}  // namespace

TEST_CASE("a wrong gradient is told by parameter and element") {
  Cubes module;
  CHECK(check_gradients(module, [&](auto& ex) { return module.loss(ex); }).passed());
  Parameters<double> parameters(module, 1);
  parameters["second"][2] = 1.5;
  const GradientCheck check = check_gradients(parameters, [&](auto& ex) { return module.loss(ex); });
  CHECK_FALSE(check.passed());
  CHECK(check.parameter == "second");
  CHECK(check.element == 2);
  CHECK(check.compared == 10);
  CHECK(check.backward == doctest::Approx(2.25));
  CHECK(check.difference == doctest::Approx(6.75));
  CHECK(check.text().find("WRONG: second [4], element 2: backward 2.25") != std::string::npos);
}

TEST_CASE("a NaN is a wrong gradient, and so is a module without parameters") {
  Cubes module;
  Parameters<double> parameters(module, 1);
  parameters["first"][1] = NAN;
  CHECK_FALSE(check_gradients(parameters, [&](auto& ex) { return module.loss(ex); }).passed());
  CHECK_FALSE(GradientCheck{}.passed());
}

TEST_CASE("a layer with memory and random numbers has the gradients of its loss, and its state afterwards") {
  Layer layer({.width = 5,
               .experts = 3,
               .hidden = {4},
               .router = {.hidden = 6},
               .inhibition = GlobalInhibition::with(Pretext::Config{.earlier_widths = {2}},
                                                    Posttext::Config{.pooling = Pooling::mean})});
  Parameters<double> parameters(layer, 1);
  Values<double> x({7, 5}, 2), earlier({7, 2}, 3);
  const std::vector<Tensor<double>> before{earlier.constant()};
  const auto loss = [&](auto& ex) {
    const auto out = layer.forward(ex, dropout(ex, x.constant(), .2), before);
    return total(ex, multiply(ex, out.y, out.y));
  };
  Cpu<double> cpu;
  {
    Recording ex(cpu);
    (void)loss(ex);
  }
  const auto memory = parameters.states()[0].values.to_host();
  REQUIRE_FALSE(memory.empty());
  const GradientCheck check = check_gradients(parameters, loss, {.elements = 0});
  CHECK_MESSAGE(check.passed(), check.text());
  CHECK(check.compared == parameters.count());
  CHECK(parameters.states()[0].values.to_host() == memory);
}

TEST_CASE("a module that was checked without parameters has none afterwards") {
  Cubes module;
  (void)check_gradients(module, [&](auto& ex) { return module.loss(ex); });
  CHECK_FALSE(module.first.tensor.defined());
  CHECK(module.first.tensor.shape == Shape{2, 3});
}

TEST_CASE("Global's configuration is one expression, and its terms' options have their names") {
  const auto config = GlobalInhibition::with(Bracket::as_printed, Posttext::Config{.start_after = 3},
                                             Pretext::Config{.earlier_widths = {4, 5}});
  CHECK(config.bracket == Bracket::as_printed);
  CHECK(config.earlier_widths == std::vector<Index>{4, 5});
  CHECK(config.start_after == 3);
  CHECK(config.sources.size() == 3);
  CHECK(GlobalInhibition::with(Pretext::Config{{2}}).bracket == Bracket::inside);
}

TEST_CASE("parameters are visited one by one") {
  Cubes module;
  const Parameters<double> parameters(module, 1);
  std::string names;
  Index elements = 0;
  for (const auto& [name, tensor, offset] : parameters) {
    names += name + " ";
    elements += tensor.size();
  }
  CHECK(names == "first second ");
  CHECK(elements == parameters.count());
}

TEST_CASE("loads, entropy and unused experts leave padding out, and add up over batches") {
  Cpu<double> cpu;
  Values<double> p({4, 3}, 0);
  p.values = {.5, .5, 0, /**/ 1, 0, 0, /**/ 0, .5, .5, /**/ .25, .75, 0};
  Routing<double> routing;
  routing.probabilities = p.constant();
  const auto top = top_m(cpu, p.constant(), 1);
  routing.plan = routing_plan(cpu, top.expert, 3);
  routing.gates = top.value;
  const RoutingAnalysis all = analyse(cpu, routing_counts(cpu, routing));
  CHECK(all.slots == std::vector<double>{2, 2, 0});
  CHECK(all.dead() == std::vector<Index>{2});
  CHECK(all.imbalance() == doctest::Approx(1.5));
  const double one_of_two = std::log(2), quarter = -.25 * std::log(.25) - .75 * std::log(.75);
  CHECK(all.entropy() == doctest::Approx((2 * one_of_two + quarter) / 4));
  CHECK(all.text().find("1 of 3 experts unused") != std::string::npos);

  const std::vector<int> document{0, 0, -1, -1};
  RoutingAnalysis some = analyse(cpu, routing_counts(cpu, routing, count_tokens(cpu, 4, {document.data(), {4}})));
  CHECK(some.slots == std::vector<double>{2, 0, 0});
  CHECK(some.entropy() == doctest::Approx(one_of_two / 2));
  some += all;
  CHECK(some.load() == std::vector<double>{4. / 6, 2. / 6, 0});
  CHECK(some.tokens == 6);
  const auto of_another = count_tokens(cpu, 3, {document.data(), {3}});
  check_error<ShapeError>([&] { (void)routing_counts(cpu, routing, of_another); }, {"4 counted tokens", "got 3"});
}
