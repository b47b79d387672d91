// map and reduce: operations from one functor, their gradients, what is repeated, and one order of sums.

#include "ops/functors.hpp"

using namespace testing;

namespace {

/// y, and the inputs' gradients for a loss of unequal weights.
template <class F>
std::vector<std::vector<double>> outcome(const CpuOptions& options, const std::vector<Shape>& shapes, const F& f) {
  std::vector<Values<double>> values;
  for (const Shape& shape : shapes) values.emplace_back(shape, values.size() + 1);
  std::vector<Tensor<double>> inputs;
  for (auto& v : values) inputs.push_back(v.variable());
  Cpu<double> cpu(options);
  Recording ex(cpu);
  const Tensor<double> y = f(ex, inputs);
  Values<double> weights(y.shape, 9);
  ex.backward(total(ex, multiply(ex, y, weights.constant())));
  std::vector<std::vector<double>> all{cpu.read(View<double>(y))};
  for (auto& v : values) all.push_back(v.gradients);
  return all;
}

}  // namespace

TEST_CASE("operations from functors have the gradients of their derivatives") {
  for_each_functor([](const std::string& name, const std::vector<Shape>& shapes, const auto& f) {
    INFO(name);
    std::vector<Values<double>> values;
    for (const Shape& shape : shapes) values.emplace_back(shape, values.size() + 1);
    std::vector<Tensor<double>> inputs;
    for (auto& v : values) {
      if (name.find("positive") != std::string::npos)
        for (double& x : v.values) x = .5 + std::abs(x);
      inputs.push_back(v.variable());
    }
    check_gradient(inputs, [&](auto& ex) { return f(ex, inputs); });
  });
}

TEST_CASE("operations from functors have the same bits at any number of threads") {
  for_each_functor([](const std::string& name, const std::vector<Shape>& shapes, const auto& f) {
    INFO(name);
    const auto one = outcome({.threads = 1}, shapes, f);
    for (const int threads : {2, 3}) CHECK(outcome({.threads = threads, .min_work = 1}, shapes, f) == one);
  });
}

TEST_CASE("map has the values of its function, whatever is repeated") {
  Cpu<double> cpu;
  Values<double> a({3, 5}, 1), row({1, 5}, 2), column({3, 1}, 3), number({1}, 4);
  const auto y = map(cpu, Mixed{}, a.constant(), row.constant(), column.constant());
  REQUIRE(y.shape == Shape{3, 5});
  for (Index r = 0; r < 3; ++r)
    for (Index c = 0; c < 5; ++c)
      CHECK(y(r, c) == Mixed{}(a.constant()(r, c), row.constant()[c], column.constant()[r]));
  const auto outer = multiply(cpu, column.constant(), row.constant());
  REQUIRE(outer.shape == Shape{3, 5});
  CHECK(outer(2, 3) == column.constant()[2] * row.constant()[3]);
  const auto shifted = add(cpu, number.constant(), a.constant());
  REQUIRE(shifted.shape == Shape{3, 5});
  CHECK(shifted[7] == number.values[0] + a.values[7]);
}

TEST_CASE("map keeps the shape of what is not repeated") {
  Cpu<float> cpu;
  Values<float> image({2, 3, 4, 5}, 1), number({1}, 2), line({7}, 3);
  CHECK(multiply(cpu, number.constant(), image.constant()).shape == image.shape);
  CHECK(add(cpu, line.constant(), line.constant()).shape == line.shape);
}

TEST_CASE("map takes the derivative as a functor of its own, and lambdas on the CPU") {
  Values<double> x({4, 3}, 1);
  check_gradient({x.variable()}, [&](auto& ex) {
    return map(ex, [](auto v) { return v * v * v; }, [](auto v) { return 3 * v * v; }, x.variable());
  });
}

TEST_CASE("a parameter is an input like a tensor") {
  Values<float> x({2, 3}, 1), row({1, 3}, 2);
  Parameter<float> weight;
  weight.tensor = row.constant();
  Cpu<float> cpu;
  CHECK(map(cpu, ops::Multiply{}, x.constant(), weight)[4] == x.values[4] * row.values[1]);
}

TEST_CASE("reductions have the values of their operation, in rows and in columns, short and long") {
  Cpu<double> cpu({.threads = 2});
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 1}, Shape{1, 7}, Shape{5, 17}, Shape{1300, 3}, Shape{2, 40000}}) {
    INFO(shape.text());
    Values<double> x(shape, 1);
    const auto sums = row_sums(cpu, x.constant()), columns = column_sums(cpu, x.constant());
    const auto largest = row_maxima(cpu, x.constant()), highest = column_maxima(cpu, x.constant());
    REQUIRE(sums.shape == Shape{shape.rows(), 1});
    REQUIRE(columns.shape == Shape{1, shape.cols()});
    std::vector<double> expected_columns(static_cast<std::size_t>(shape.cols())),
        highest_columns(expected_columns.size(), -INFINITY);
    for (Index r = 0; r < shape.rows(); ++r) {
      double sum = 0, most = -INFINITY;
      for (Index c = 0; c < shape.cols(); ++c) {
        const double v = x.constant()(r, c);
        sum += v;
        most = std::max(most, v);
        expected_columns[static_cast<std::size_t>(c)] += v;
        highest_columns[static_cast<std::size_t>(c)] = std::max(highest_columns[static_cast<std::size_t>(c)], v);
      }
      REQUIRE(sums[r] == doctest::Approx(sum).epsilon(1e-11));
      REQUIRE(largest[r] == most);
    }
    for (Index c = 0; c < shape.cols(); ++c) {
      REQUIRE(columns[c] == doctest::Approx(expected_columns[static_cast<std::size_t>(c)]).epsilon(1e-11));
      REQUIRE(highest[c] == highest_columns[static_cast<std::size_t>(c)]);
    }
    CHECK(total(cpu, x.constant())[0] == doctest::Approx(total(cpu, sums)[0]).epsilon(1e-11));
    CHECK(row_means(cpu, x.constant())[0] == doctest::Approx(sums[0] / static_cast<double>(shape.cols())));
    CHECK(column_means(cpu, x.constant())[0] == doctest::Approx(columns[0] / static_cast<double>(shape.rows())));
  }
}

TEST_CASE("a maximum gives its gradient to the first of equals, and shows NaN") {
  Cpu<float> cpu;
  Values<float> x({2, 3}, 0);
  const auto gradient = [&](const auto& reduce) {
    x.written = false;
    Recording ex(cpu);
    ex.backward(total(ex, reduce(ex)));
    return x.gradients;
  };
  const auto rows = [&](auto& ex) { return row_maxima(ex, x.variable()); };
  const auto columns = [&](auto& ex) { return column_maxima(ex, x.variable()); };
  x.values = {1, 2, 2, 3, 2, 2};
  CHECK(gradient(rows) == std::vector<float>{0, 1, 0, 1, 0, 0});
  CHECK(gradient(columns) == std::vector<float>{0, 1, 1, 1, 0, 0});
  x.values = {1, NAN, 2, NAN, 2, NAN};
  CHECK(std::isnan(rows(cpu)[0]));
  CHECK(gradient(rows) == std::vector<float>{0, 1, 0, 1, 0, 0});
  CHECK(gradient(columns) == std::vector<float>{0, 1, 0, 1, 0, 1});
}

TEST_CASE_TEMPLATE("functions of lanes are those of numbers, at the ends of their range too", T, float, double) {
  using ops::Lanes;
  const auto check = [](const char* name, const auto& f, double tolerance) {
    constexpr T kInfinity = std::numeric_limits<T>::infinity(), kNan = std::numeric_limits<T>::quiet_NaN();
    std::vector<T> x{kNan, kInfinity, -kInfinity, T{0}, -T{0}, T(-750), T(-120), T(-80), T(80), T(120), T(1e-30)};
    for (T at = T(-14); at < 14; at += T(0.03125)) x.push_back(at);
    std::vector<T> y(x.size());
    ops::for_each_line<T>(static_cast<Index>(x.size()), [&](Index i, auto lanes) {
      f(Lanes<T>::load(x.data() + i, lanes)).store(y.data() + i, lanes);
    });
    for (std::size_t i = 0; i < x.size(); ++i) {
      const T expected = f(x[i]);
      INFO(std::string(name), " of ", x[i], ": lanes ", y[i], ", number ", expected);
      CHECK(std::isnan(y[i]) == std::isnan(expected));
      if (std::isnan(expected) || y[i] == expected) continue;
      // Below the smallest normal number lanes may give zero.
      CHECK(std::abs(y[i] - expected) <=
            tolerance * std::abs(expected) + 2 * static_cast<double>(std::numeric_limits<T>::min()));
    }
  };
  const double rounding = 4 * static_cast<double>(std::numeric_limits<T>::epsilon());
  check("exp", [](auto v) { return math::exp(v); }, rounding);
  check("tanh", [](auto v) { return math::tanh(v); }, std::max(rounding, 1e-6));
  check("sigmoid", [](auto v) { return math::sigmoid(v); }, rounding);
  check("relu", [](auto v) { return math::relu(v); }, 0);
  check("step", [](auto v) { return math::step(v); }, 0);
  check("softplus", [](auto v) { return math::softplus(v); }, rounding);
  check("Φ", [](auto v) { return math::normal_cdf(v); }, std::max(rounding, 6e-7));
  check("φ", [](auto v) { return math::normal_density(v); }, 20 * rounding);
  CHECK(math::exp(Lanes<T>(-std::numeric_limits<T>::infinity())).value[0] == 0);
}

TEST_CASE("inputs that cannot be repeated to one shape are refused, naming both") {
  Cpu<float> cpu;
  Values<float> x({4, 6}, 1), other({3, 6}, 2), line({6}, 3), empty({0, 6}, 4);
  check_error<ShapeError>([&] { (void)multiply(cpu, x.constant(), other.constant()); },
                          {"multiply", "[4, 6]", "[3, 6]"});
  check_error<ShapeError>([&] { (void)add(cpu, x.constant(), line.constant()); },
                          {"add", "[1, 6]", "[6, 1]", "reshaped"});
  check_error<ShapeError>([&] { (void)add(cpu, x.constant(), empty.constant()); }, {"add", "[0, 6]"});
  check_error<ShapeError>([&] { (void)row_sums(cpu, empty.constant()); }, {"sum", "empty batch"});
}
