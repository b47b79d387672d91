// Operations against their definitions, written naively.

#include "support.hpp"

using namespace testing;

namespace {

template <class T>
double naive_conv(const Values<T>& x, const Values<T>& w, Index image, Index row, Index column, Index out,
                  const ConvOptions& o) {
  double sum = 0;
  for (Index ky = 0; ky < w.shape[1]; ++ky)
    for (Index kx = 0; kx < w.shape[2]; ++kx)
      for (Index c = 0; c < w.shape[3]; ++c) {
        const Index y = row * o.stride + ky - o.padding, at = column * o.stride + kx - o.padding;
        if (y < 0 || at < 0 || y >= x.shape[1] || at >= x.shape[2]) continue;
        sum += static_cast<double>(
                   x.values[static_cast<std::size_t>(((image * x.shape[1] + y) * x.shape[2] + at) * x.shape[3] + c)]) *
               static_cast<double>(
                   w.values[static_cast<std::size_t>(((out * w.shape[1] + ky) * w.shape[2] + kx) * w.shape[3] + c)]);
      }
  return sum;
}

/// The CPU as a backend that has gated experts as one operation; its kernels do nothing.
struct FusingCpu : Cpu<float> {
  using Backend = FusingCpu;
  bool halves = true;

  [[nodiscard]] FusingCpu& backend() { return *this; }
  [[nodiscard]] bool multiplies_halves() const { return halves; }
  template <class Op>
  void run(const Op&) {}
};

}  // namespace

TEST_CASE_TEMPLATE("the tiled product equals the definition at every remainder", T, float, double) {
  Cpu<T> cpu({.threads = 2});
  for (const Index rows : {1, 11, 12, 13, 40})
    for (const Index columns : {1, 31, 32, 33, 70})
      for (const Index depth : {1, 17, 600, 1100}) {
        Values<T> x({rows, depth}, 1), w({columns, depth}, 2), b({columns}, 3);
        const auto y = linear(cpu, x.constant(), w.constant(), b.constant());
        double worst = 0;
        for (Index i = 0; i < rows; ++i)
          for (Index j = 0; j < columns; ++j) {
            double sum = static_cast<double>(b.values[static_cast<std::size_t>(j)]), size = 1;
            for (Index k = 0; k < depth; ++k) {
              const double product = static_cast<double>(x.values[static_cast<std::size_t>(i * depth + k)]) *
                                     static_cast<double>(w.values[static_cast<std::size_t>(j * depth + k)]);
              sum += product;
              size += std::abs(product);
            }
            worst = std::max(worst, std::abs(static_cast<double>(y(i, j)) - sum) / size);
          }
        CAPTURE(rows);
        CAPTURE(columns);
        CAPTURE(depth);
        CHECK(worst < (sizeof(T) == 4 ? 1e-6 : 1e-14));
        cpu.begin_step();
      }
}

TEST_CASE("slots that find no row are counted, rows without a slot are zero") {
  Cpu<float> cpu;
  const std::vector<int> chosen{1, 0, 1, 2, 1, 2};  // of three experts; two have the number of none
  const View<int> expert = cpu.integers({6, 1});
  std::copy(chosen.begin(), chosen.end(), expert.data);
  const auto rows = slot_rows(cpu, routing_plan(cpu, expert, 2, true), 2, 1);
  CHECK(std::vector<int>(rows.of_slot.begin(), rows.of_slot.end()) == std::vector<int>{0, 2, 3, -1, -1, -1});
  CHECK(std::vector<int>(rows.of_row.begin(), rows.of_row.end()) == std::vector<int>{0, -1, 1, 2});
  CHECK(rows.counts[0] == 1);
  CHECK(rows.counts[1] == 4);
  Values<float> x({6, 2}, 1);
  const auto y = move_rows(cpu, x.constant(), rows.of_row, rows.of_slot);
  for (Index c = 0; c < 2; ++c) {
    CHECK(y(0, c) == x.constant()(0, c));
    CHECK(y(1, c) == 0);
    CHECK(y(3, c) == x.constant()(2, c));
  }
}

TEST_CASE("convolution equals its definition") {
  Cpu<double> cpu({.threads = 2});
  for (const ConvOptions& options :
       std::vector<ConvOptions>{{}, {.stride = 2, .padding = 1}, {.stride = 3, .padding = 3}}) {
    Values<double> x({3, 8, 9, 4}, 4), w({37, 3, 4, 4}, 5), b({37}, 6);
    const auto y = conv2d(cpu, x.constant(), w.constant(), b.constant(), options);
    for (Index image = 0; image < 3; ++image)
      for (Index row = 0; row < y.shape[1]; ++row)
        for (Index column = 0; column < y.shape[2]; ++column)
          for (Index out = 0; out < 37; ++out) {
            const Index at = ((image * y.shape[1] + row) * y.shape[2] + column) * 37 + out;
            REQUIRE(y[at] == doctest::Approx(naive_conv(x, w, image, row, column, out, options) +
                                             b.values[static_cast<std::size_t>(out)])
                                 .epsilon(1e-12));
          }
  }
}

TEST_CASE_TEMPLATE("Winograd's method equals the sum over windows, gradients too", T, float, double) {
  struct Case {
    Index kernel, height, width, in, out, padding;
  };
  const auto results = [](const Case& c, bool winograd) {
    Values<T> x({3, c.height, c.width, c.in}, 4), w({c.out, c.kernel, c.kernel, c.in}, 5), b({c.out}, 6);
    Cpu<T> cpu({.threads = 2, .winograd = winograd});
    Recording ex(cpu);
    const auto y = conv2d(ex, x.variable(), w.variable(), b.variable(), {.padding = c.padding});
    ex.backward(linear(ex, y.reshaped({1, y.size()}), Values<T>({1, y.size()}, 9).constant()));
    return std::array{std::vector<T>(y.begin(), y.end()), x.gradients, w.gradients};
  };
  for (const Case& c :
       {Case{3, 9, 7, 16, 35, 1}, Case{4, 30, 27, 33, 16, 0}, Case{4, 6, 6, 16, 16, 2}, Case{5, 8, 13, 17, 32, 2}}) {
    CAPTURE(c.kernel);
    const auto windows = results(c, false), winograd = results(c, true);
    CHECK(windows[0] != winograd[0]);  // it was another method
    for (std::size_t i = 0; i < windows.size(); ++i)
      CHECK(distance(winograd[i].data(), windows[i].data(), static_cast<Index>(windows[i].size())) <
            (sizeof(T) == 4 ? 3e-6 : 1e-14));
  }
}

TEST_CASE("a convolution that pools equals convolution, activation and pooling one after another") {
  Cpu<float> cpu({.threads = 2});
  Values<float> x({3, 12, 11, 2}, 7), w({20, 3, 3, 2}, 8), b({20}, 9);
  const ConvOptions fused{.activation = Activation::relu, .pool = {.kernel = 3, .stride = 2}};
  const auto y = conv2d(cpu, x.constant(), w.constant(), b.constant(), fused);
  const auto plain = conv2d(cpu, x.constant(), w.constant(), b.constant());
  const auto apart = max_pool2d(cpu, activate(cpu, plain, Activation::relu), fused.pool);
  REQUIRE(y.shape == apart.shape);
  CHECK(distance(y.data, apart.data, y.size()) == 0);
}

TEST_CASE("max-pooling takes the first of equals, and lets NaN through") {
  Cpu<float> cpu;
  Values<float> x({1, 2, 2, 1}, 0);
  x.values = {1, 1, 0, 1};
  Recording ex(cpu);
  const auto y = max_pool2d(ex, x.variable(), {2, 2});
  ex.backward(y.reshaped(Shape::scalar()));
  CHECK(x.gradients == std::vector<float>{1, 0, 0, 0});
  x.values = {1, NAN, 0, 2};
  CHECK(std::isnan(max_pool2d(cpu, x.constant(), {2, 2})[0]));
}

TEST_CASE("a routing plan sorts slots by expert and keeps the order of tokens") {
  Cpu<float> cpu;
  Values<float> scores({3, 4}, 0);
  scores.values = {0, 5, 1, 5, /**/ 9, 0, 8, 0, /**/ 0, 1, 2, 3};
  const auto top = top_m(cpu, scores.constant(), 2);
  CHECK(std::vector<int>(top.expert.begin(), top.expert.end()) == std::vector<int>{1, 3, 0, 2, 3, 2});
  const RoutingPlan plan = routing_plan(cpu, top.expert, 4);
  CHECK(std::vector<int>(plan.offsets.begin(), plan.offsets.end()) == std::vector<int>{0, 1, 2, 4, 6});
  CHECK(std::vector<int>(plan.order.begin(), plan.order.end()) == std::vector<int>{2, 0, 3, 5, 1, 4});
  for (Index slot = 0; slot < plan.slots(); ++slot) CHECK(plan.order[plan.position[slot]] == slot);
}

TEST_CASE("dropout keeps the mean, drops the named share, and is the identity outside training") {
  Cpu<double> cpu({.seed = 2});
  Values<double> x({100, 200}, 0);
  std::fill(x.values.begin(), x.values.end(), 1.0);
  {
    Recording ex(cpu);
    const auto y = dropout(ex, x.constant(), 0.25);
    double mean = 0, zeros = 0;
    for (const double v : y) {
      mean += v / 20000;
      zeros += v == 0 ? 1 : 0;
    }
    CHECK(mean == doctest::Approx(1).epsilon(0.02));
    CHECK(zeros / 20000 == doctest::Approx(0.25).epsilon(0.05));
  }
  CHECK(dropout(cpu, x.constant(), 0.25).data == x.values.data());
  Recording evaluation(cpu, Mode::evaluate);
  CHECK(dropout(evaluation, x.constant(), 0.25).data == x.values.data());
}

TEST_CASE("dropout keeps what its random stream says, element by element") {
  constexpr Index kCount = 1027;
  const RandomStream random{.seed = 123456789012345, .step = 77, .stream = 5};
  Cpu<float> cpu;
  Values<float> x({kCount}, 1), y({kCount}, 2);
  ops::forward(cpu, ops::Dropout<float>{x.constant(), y.constant(), .3f, random});
  for (Index i = 0; i < kCount; ++i) {
    const auto at = static_cast<std::size_t>(i);
    CHECK(y.values[at] == (random.uniform<float>(i) < .3f ? 0 : x.values[at] * (1 / (1 - .3f))));
  }
}

TEST_CASE("numbered rows drop what the rows of their numbers drop") {
  std::vector<int> number{4, 0, 8, 7, 1, 2, 6, 3, 5};
  const RandomStream random{.seed = 5, .step = 7, .stream = 3, .first = 6};
  Cpu<float> cpu;
  for (const Index width : {1, 3, 64, 130}) {
    Values<float> ones({9, width}, 1), whole({9, width}, 2), numbered({9, width}, 3);
    std::fill(ones.values.begin(), ones.values.end(), 1.0f);
    ops::forward(cpu, ops::Dropout<float>{ones.constant(), whole.constant(), .3f, random});
    ops::forward(cpu, ops::Dropout<float>{ones.constant(), numbered.constant(), .3f, random, number});
    for (Index row = 0; row < 9; ++row)
      CHECK(distance(numbered.values.data() + row * width,
                     whole.values.data() + number[static_cast<std::size_t>(row)] * width, width) == 0);
  }
  Values<float> x({9, 2}, 1);
  Recording ex(cpu);
  number.pop_back();
  check_error<ShapeError>([&] { (void)dropout(ex, x.constant(), .3, number); }, {"each of 9 rows", "[8]"});
}

TEST_CASE("activations have their values") {
  Cpu<double> cpu;
  Values<double> x({5}, 0);
  x.values = {-30, -1, 0, 1, 30};
  const auto at = [&](Activation kind, Index i) { return activate(cpu, x.constant(), kind)[i]; };
  CHECK(at(Activation::relu, 1) == 0);
  CHECK(at(Activation::tanh, 3) == doctest::Approx(std::tanh(1.0)));
  CHECK(at(Activation::sigmoid, 0) == doctest::Approx(9.357622968840175e-14));
  CHECK(at(Activation::gelu, 3) == doctest::Approx(0.8413447460685429));
  CHECK(at(Activation::silu, 3) == doctest::Approx(0.7310585786300049));
  CHECK(at(Activation::softplus, 4) == doctest::Approx(30.0));
  CHECK(at(Activation::softplus, 0) == doctest::Approx(9.357622968840175e-14));
}

TEST_CASE_TEMPLATE("softmax gives nothing to −∞, and shows NaN in its row alone", T, float, double) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  Cpu<T> cpu;
  for (const Index columns : {3, 40, 300}) {
    Values<T> x({3, columns}, 0);
    x.values.assign(x.values.size(), T{1});
    x.values[1] = -kInfinity;
    x.values[static_cast<std::size_t>(2 * columns - 1)] = std::numeric_limits<T>::quiet_NaN();
    const auto y = softmax(cpu, x.constant());
    CHECK(y(0, 1) == 0);
    CHECK(y(0, 0) == doctest::Approx(1.0 / static_cast<double>(columns - 1)));
    for (Index c = 0; c < columns; ++c) {
      CHECK(std::isnan(y(1, c)));
      CHECK(y(2, c) == doctest::Approx(1.0 / static_cast<double>(columns)));
    }
  }
}

TEST_CASE("rows whose squares overflow are normalised too, and infinity shows") {
  Cpu<float> cpu;
  Values<float> x({4, 2}, 0);
  x.values = {3e30f, -4e30f, 3e38f, 3e38f, 3, -4, INFINITY, 1};
  Recording ex(cpu);
  const auto y = l2_normalise(ex, x.variable());
  ex.backward(total(ex, y));
  for (const Index row : {0, 2}) {
    CHECK(y(row, 0) == doctest::Approx(0.6));
    CHECK(y(row, 1) == doctest::Approx(-0.8));
  }
  CHECK(y(1, 0) == doctest::Approx(std::sqrt(0.5)));
  CHECK(1e30 * static_cast<double>(x.gradients[0]) == doctest::Approx(0.224));
  CHECK(x.gradients[4] == doctest::Approx(0.224));
  for (const Index c : {0, 1}) CHECK(std::isnan(y(3, c)));
}

TEST_CASE("auxiliary losses are zero, or least, when the load is even") {
  Cpu<double> cpu;
  Values<double> even({4}, 0), uneven({4}, 0);
  even.values = {2, 2, 2, 2};
  uneven.values = {8, 0, 0, 0};
  CHECK(cv_squared(cpu, even.constant())[0] == 0);
  CHECK(cv_squared(cpu, uneven.constant())[0] == doctest::Approx(3));
  Values<double> p({4, 4}, 0);
  for (Index i = 0; i < 16; ++i) p.values[static_cast<std::size_t>(i)] = i % 5 == 0 ? 0.7 : 0.1;
  const auto top = top_m(cpu, p.constant(), 1);
  CHECK(balance_loss(cpu, p.constant(), routing_plan(cpu, top.expert, 4))[0] == doctest::Approx(1));
}

TEST_CASE("patches hold an image's pixels row by row, after rows of zeros") {
  Cpu<float> cpu;
  Values<float> images({2, 4, 6, 1}, 1);
  for (std::size_t i = 0; i < images.values.size(); ++i) images.values[i] = static_cast<float>(i + 1);
  const auto y = patches(cpu, images.constant(), 2, 1);
  CHECK(y.shape == Shape{14, 4});
  const auto row = [&](Index r) { return std::vector<float>(y.data + 4 * r, y.data + 4 * r + 4); };
  CHECK(row(0) == std::vector<float>{0, 0, 0, 0});
  CHECK(row(1) == std::vector<float>{1, 2, 7, 8});
  CHECK(row(2) == std::vector<float>{3, 4, 9, 10});
  CHECK(row(4) == std::vector<float>{13, 14, 19, 20});
  CHECK(row(7) == std::vector<float>{0, 0, 0, 0});
  CHECK(row(8) == std::vector<float>{25, 26, 31, 32});
  const auto firsts = strided_rows(cpu, y, 7, 1);
  CHECK(firsts.shape == Shape{2, 4});
  CHECK(std::vector<float>(firsts.data, firsts.data + 8) == std::vector<float>{1, 2, 7, 8, 25, 26, 31, 32});
}

TEST_CASE("joined rows of each sequence: those of the first tensor, then those of the second, without the first few") {
  Cpu<float> cpu;
  Values<float> a({4, 1}, 0), b({2, 1}, 0);
  a.values = {1, 2, 3, 4};
  b.values = {5, 6};
  const auto joined = [&](Index skip) {
    const auto y = join_rows(cpu, a.constant(), b.constant(), 2, skip);
    return std::vector<float>(y.begin(), y.end());
  };
  CHECK(joined(0) == std::vector<float>{1, 2, 5, 3, 4, 6});
  CHECK(joined(1) == std::vector<float>{2, 5, 4, 6});
  CHECK(joined(2) == std::vector<float>{5, 6});
  check_error<ShapeError>([&] { (void)joined(3); }, {"join rows", "skip < 3", "got 3"});
  check_error<ShapeError>([&] { (void)join_rows(cpu, a.constant(), b.constant(), 3); },
                          {"whole sequences, 3", "[2, 1]"});
}

TEST_CASE("operations refuse shapes that do not fit, naming both sides") {
  Cpu<float> cpu;
  Values<float> x({4, 6}, 1), w({3, 5}, 2), empty({0, 6}, 3), images({2, 4, 4, 3}, 4), kernel({2, 5, 5, 3}, 5);
  std::vector<int> labels{0, 1, 2};
  check_error<ShapeError>([&] { (void)linear(cpu, x.constant(), w.constant()); }, {"linear", "width 5", "[4, 6]"});
  check_error<ShapeError>([&] { (void)softmax(cpu, empty.constant()); }, {"empty batch", "[0, 6]"});
  check_error<ConfigError>([&] { (void)top_m(cpu, x.constant(), 7); }, {"M ≤ K = 6", "M = 7"});
  check_error<ConfigError>([&] { (void)top_m(cpu, x.constant(), 0); }, {"M = 0"});
  check_error<ConfigError>([&] { (void)dropout(cpu, x.constant(), 1.0); }, {"[0, 1)"});
  check_error<ShapeError>([&] { (void)conv2d(cpu, images.constant(), kernel.constant(), {}); },
                          {"window's 5", "got 4"});
  check_error<ShapeError>([&] { (void)conv2d(cpu, x.constant(), kernel.constant(), {}); }, {"channels last", "[4, 6]"});
  check_error<ConfigError>(
      [&] { (void)conv2d(cpu, images.constant(), kernel.constant(), {}, {.activation = Activation::gelu}); },
      {"fused", "got gelu"});
  check_error<ConfigError>([&] { (void)max_pool2d(cpu, images.constant(), {2, 0}); }, {"stride ≥ 1", "got 0"});
  check_error<ShapeError>([&] { (void)cross_entropy(cpu, x.constant(), {labels.data(), {3}}); }, {"4 labels", "[3]"});
  check_error<ShapeError>([&] { (void)patches(cpu, images.constant(), 3); }, {"multiples of 3", "[2, 4, 4, 3]"});
  check_error<ConfigError>([&] { (void)patches(cpu, images.constant(), 0); }, {"size ≥ 1"});
  check_error<ShapeError>([&] { (void)strided_rows(cpu, x.constant(), 3); }, {"divides the 4 rows", "step 3"});
  check_error<ShapeError>([&] { (void)strided_rows(cpu, x.constant(), 2, 2); }, {"first < step", "first 2"});
  const View<int> expert = cpu.integers({4, 1});
  expert[0] = expert[1] = expert[2] = expert[3] = 1;
  const RoutingPlan plan = routing_plan(cpu, expert, 2);
  check_error<ConfigError>([&] { (void)slot_rows(cpu, plan, 0, 1); }, {"capacity ≥ 1", "got 0"});
  check_error<ConfigError>([&] { (void)slot_rows(cpu, plan, 1, 3); }, {"a divisor of K = 2", "got 3"});
  const auto rows = slot_rows(cpu, plan, 3, 2);
  check_error<ShapeError>([&] { (void)move_rows(cpu, w.constant(), rows.of_row, rows.of_slot); },
                          {"3 numbers", "got 4"});
  labels = {0, 1, 9, 2};
  check_error<ConfigError>([&] { (void)cross_entropy(cpu, x.constant(), {labels.data(), {4}}); },
                           {"0 to 5", "9 in row 2"});
  labels = {0, 1, 2, -1};
  check_error<ConfigError>([&] { (void)cross_entropy(cpu, x.constant(), {labels.data(), {4}}); },
                           {"0 to 5", "-1 in row 3", "mend the label"});
  Values<float> classes({5, 6}, 7);
  labels = {0, -1, 4, 5};
  check_error<ConfigError>(
      [&] { (void)projected_cross_entropy(cpu, x.constant(), classes.constant(), {}, {labels.data(), {4}}); },
      {"labels below 5", "5 in row 3", "mend the label"});
  check_error<ShapeError>([&] { (void)sum(cpu, {x.constant(), w.constant()}); }, {"[4, 6]", "[3, 5]"});
  check_error<ConfigError>([&] { (void)layer_norm(cpu, x.constant(), Values<float>({6}, 1).constant()); },
                           {"both weight and bias"});
  check_error<ConfigError>([&] { (void)smooth_load(cpu, x.constant(), x.constant(), x.constant(), 6); }, {"M < K"});
}

TEST_CASE("operations on sequences refuse widths, columns and rows that do not fit") {
  Cpu<float> cpu;
  Values<float> x({6, 4}, 1), wide({6, 6}, 2), few({3, 4}, 3);
  const Columns<float> q(x.constant()), outside(x.constant(), 2, 3);
  const Sequences pairs{.length = 2};
  check_error<ConfigError>([&] { (void)attention(cpu, q, q, q, pairs, 3); }, {"divides the widths 4 and 4", "got 3"});
  check_error<ShapeError>([&] { (void)attention(cpu, q, wide.constant(), q, pairs); },
                          {"as wide as queries, 4", "got 6"});
  check_error<ShapeError>([&] { (void)attention(cpu, q, q, outside, pairs); }, {"within [6, 4]", "got 2 to 5"});
  check_error<ShapeError>([&] { (void)attention(cpu, q, few.constant(), q, pairs); }, {"6 keys", "got 3 and 6"});
  std::vector<int> documents(5, 0);
  check_error<ShapeError>([&] { (void)attention(cpu, q, q, q, {.length = 2, .document = {documents.data(), {5}}}); },
                          {"each of 6 tokens", "[5]"});
  check_error<ConfigError>(
      [&] { (void)attention(cpu, q, q, q, {.length = 2, .document = {documents.data(), {6}}, .past = 1}); },
      {"no document numbers while decoding"});
  TokenCache<float> cache(2, 4, 4, cpu.space());
  check_error<ShapeError>([&] { append(cpu, q, cache, pairs); }, {"[8, 4]", "[6, 4] of 2 rows"});
  check_error<ShapeError>([&] { (void)expert_choice(cpu, x.constant(), 1, 4, 1); }, {"windows of 4", "6 tokens"});
}

TEST_CASE("operations on experts refuse rows that are not the plan's") {
  Cpu<float> cpu;
  Values<float> scores({5, 3}, 1), x({4, 2}, 2), weight({3, 2, 2}, 3), gates({5, 2}, 4), term({3, 2}, 5);
  const auto top = top_m(cpu, scores.constant(), 2);
  const RoutingPlan plan = routing_plan(cpu, top.expert, 3);
  check_error<ShapeError>(
      [&] { (void)grouped_linear(cpu, x.constant(), weight.constant(), {}, plan, ExpertRows::tokens); },
      {"5 rows", "[4, 2]", "the plan was made for"});
  Values<float> rows({5, 2}, 6), of_two({2, 2, 2}, 7), bias({2, 2}, 8);
  const auto layer = [&](Values<float>& w, const Tensor<float>& b) {
    (void)grouped_linear(cpu, rows.constant(), w.constant(), b, plan, ExpertRows::tokens);
  };
  check_error<ShapeError>([&] { layer(of_two, {}); }, {"[3, out, 2]", "[2, 2, 2]", "each of the plan's experts"});
  check_error<ShapeError>([&] { layer(weight, bias.constant()); }, {"expert layer's bias", "[3, 2]", "[2, 2]"});
  check_error<ShapeError>([&] { (void)combine(cpu, x.constant(), gates.constant(), plan); },
                          {"10 expert outputs", "[4, 2]", "one row a slot"});
  const GateTerm<float> terms[]{{term.constant()}};
  check_error<ShapeError>([&] { (void)gate(cpu, x.constant(), terms); }, {"1 or 4 rows", "[3, 2]"});
}

TEST_CASE("gated experts in one operation refuse weights that are not the plan's, odd widths and other backends") {
  FusingCpu cpu;
  Values<float> scores({4, 3}, 1), x({4, 16}, 2), in({3, 24, 16}, 3), out({3, 8, 24}, 4), gates({4, 2}, 5);
  const auto top = top_m(static_cast<Cpu<float>&>(cpu), scores.constant(), 2);
  const RoutingPlan plan = routing_plan(static_cast<Cpu<float>&>(cpu), top.expert, 3);
  const auto run = [&](Values<float>& tokens, Values<float>& gate, Values<float>& up, Values<float>& down) {
    const Tensor<float> g = gate.constant(), u = up.constant(), d = down.constant();
    (void)gated_experts<Activation::silu>(cpu, tokens.constant(), {g, u, d}, gates.constant(), plan);
  };
  run(x, in, in, out);
  Values<float> few({2, 24, 16}, 6), narrow({3, 16, 16}, 7), flat({72, 16}, 8), wide({3, 8, 16}, 9);
  check_error<ShapeError>([&] { run(x, few, few, out); }, {"gated experts' gate", "[3, hidden, 16]", "[2, 24, 16]"});
  check_error<ShapeError>([&] { run(x, flat, flat, out); }, {"gated experts' gate", "[3, hidden, 16]", "[72, 16]"});
  check_error<ShapeError>([&] { run(x, in, narrow, out); }, {"gated experts' up", "[3, 24, 16]", "[3, 16, 16]"});
  check_error<ShapeError>([&] { run(x, in, in, wide); }, {"gated experts' down", "[3, out, 24]", "[3, 8, 16]"});
  Values<float> thin({4, 12}, 10), odd({3, 24, 12}, 11);
  check_error<ShapeError>([&] { run(thin, odd, odd, out); }, {"multiples of 8", "in = 12, hidden = 24, out = 8"});
  cpu.halves = false;
  check_error<ConfigError>([&] { run(x, in, in, out); }, {"bf16", "got cpu", "combined()"});
}

TEST_CASE("gated experts' rows have room for blocks of the experts that can have a token") {
  ops::GatedExperts<float, Activation::silu> op;
  const auto rows = [&](Index tokens, Index chosen, Index experts) {
    op.plan.experts = experts;
    op.plan.expert.shape = {tokens, chosen};
    return op.max_rows();
  };
  CHECK(rows(1, 1, 1) == 64);
  CHECK(rows(1, 2, 1024) == 2 * 64);
  CHECK(rows(100, 2, 8) == 200 + 8 * 63);
}

TEST_CASE("pooling refuses large windows and what is no image, and projected losses too few labels") {
  Cpu<float> cpu;
  Values<float> x({4, 6}, 1), classes({5, 6}, 2), line({1, 300, 300, 1}, 3);
  std::vector<int> labels(3, 0);
  check_error<ConfigError>([&] { (void)max_pool2d(cpu, line.constant(), {257, 1}); }, {"at most 256", "got 257"});
  check_error<ShapeError>([&] { (void)max_pool2d(cpu, x.constant(), {2, 2}); }, {"height, width, channels", "[4, 6]"});
  check_error<ShapeError>(
      [&] { (void)projected_cross_entropy(cpu, x.constant(), classes.constant(), {}, {labels.data(), {3}}); },
      {"4 labels", "[3]", "one label a row"});
}
