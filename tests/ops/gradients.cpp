// Every operation's backward pass against finite differences, in double.

#include <array>

#include "support.hpp"

using namespace testing;
using D = Values<double>;

TEST_CASE("linear") {
  D x({5, 7}, 1), w({4, 7}, 2), b({4}, 3);
  check_gradient({x.variable(), w.variable(), b.variable()},
                 [&](auto& ex) { return linear(ex, x.variable(), w.variable(), b.variable()); });
}

TEST_CASE("activations") {
  for (const Activation kind : {Activation::relu, Activation::tanh, Activation::sigmoid, Activation::gelu,
                                Activation::silu, Activation::softplus}) {
    D x({6, 5}, 4), other({6, 5}, 5);
    check_gradient({x.variable()}, [&](auto& ex) { return activate(ex, x.variable(), kind); });
    check_gradient({x.variable(), other.variable()},
                   [&](auto& ex) { return gated_activation(ex, x.variable(), other.variable(), kind); });
  }
}

TEST_CASE("gate, brackets inside and as printed, terms for all tokens and for each") {
  for (const Bracket bracket : {Bracket::inside, Bracket::as_printed}) {
    D z({4, 5}, 6), local({4, 5}, 7), row({1, 5}, 8), more({4, 5}, 9);
    check_gradient({z.variable(), local.variable(), row.variable(), more.variable()}, [&](auto& ex) {
      const std::array<GateTerm<double>, 4> terms{
          {{local.variable(), true}, {row.variable(), false}, {{}, false}, {more.variable(), false}}};
      return gate(ex, z.variable(), std::span<const GateTerm<double>>(terms), bracket).y;
    });
  }
}

TEST_CASE("softmax and normalise") {
  D x({4, 6}, 10);
  check_gradient({x.variable()}, [&](auto& ex) { return softmax(ex, x.variable()); });
  for (double& v : x.values) v = std::abs(v) + 0.1;
  check_gradient({x.variable()}, [&](auto& ex) { return normalise(ex, x.variable()); });
}

TEST_CASE("layer norm, with and without an affine map") {
  D x({4, 9}, 11), w({9}, 12), b({9}, 13);
  check_gradient({x.variable()}, [&](auto& ex) { return layer_norm(ex, x.variable()); });
  check_gradient({x.variable(), w.variable(), b.variable()},
                 [&](auto& ex) { return layer_norm(ex, x.variable(), w.variable(), b.variable()); });
}

TEST_CASE("dropout and noise draw the same numbers forwards and backwards") {
  D x({5, 7}, 14), s({5, 7}, 15);
  check_gradient({x.variable()}, [&](auto& ex) { return dropout(ex, x.variable(), 0.4); });
  check_gradient({x.variable(), s.variable()}, [&](auto& ex) { return add_noise(ex, x.variable(), s.variable()); });
}

TEST_CASE("convolution: kernels, strides, padding, activation and pooling") {
  const std::vector<ConvOptions> all{
      {},
      {.stride = 2},
      {.stride = 3, .padding = 2},
      {.padding = 1, .activation = Activation::tanh},
      {.activation = Activation::relu, .pool = {.kernel = 3, .stride = 1}},
      {.stride = 2, .padding = 1, .activation = Activation::sigmoid, .pool = {.kernel = 2, .stride = 2}}};
  for (const ConvOptions& options : all) {
    D x({2, 9, 8, 3}, 16), w({5, 3, 2, 3}, 17), b({5}, 18);
    check_gradient({x.variable(), w.variable(), b.variable()},
                   [&](auto& ex) { return conv2d(ex, x.variable(), w.variable(), b.variable(), options); });
  }
}

TEST_CASE("max-pooling: overlapping, exact and gappy windows") {
  for (const PoolOptions& options : {PoolOptions{3, 1}, PoolOptions{2, 2}, PoolOptions{3, 2}, PoolOptions{2, 3}}) {
    D x({2, 7, 8, 3}, 19);
    check_gradient({x.variable()}, [&](auto& ex) { return max_pool2d(ex, x.variable(), options); });
  }
}

TEST_CASE("top M, grouped linear on tokens and slots, combine") {
  D scores({9, 4}, 20), x({9, 5}, 21), w1({4, 6, 5}, 22), b1({4, 6}, 23), w2({4, 3, 6}, 24);
  check_gradient({scores.variable(), x.variable(), w1.variable(), b1.variable(), w2.variable()}, [&](auto& ex) {
    const auto top = top_m(ex, scores.variable(), 2);
    const RoutingPlan plan = routing_plan(ex, top.expert, 4);
    const auto hidden = grouped_linear(ex, x.variable(), w1.variable(), b1.variable(), plan, ExpertRows::tokens);
    const auto output = grouped_linear(ex, hidden, w2.variable(), {}, plan, ExpertRows::slots);
    return combine(ex, output, top.value, plan);
  });
}

TEST_CASE("pooling over the batch") {
  for (const Pooling pooling : {Pooling::max, Pooling::mean, Pooling::row}) {
    D x({4, 6}, 25);
    check_gradient({x.variable()}, [&](auto& ex) { return batch_pool(ex, x.variable(), pooling, 6); });
    check_gradient(
        {x.variable()}, [&](auto& ex) { return batch_pool(ex, x.variable(), pooling, 3); }, 1e-6);
  }
}

TEST_CASE("cross-entropy from logits, and after a softmax") {
  D logits({5, 4}, 26);
  std::vector<int> labels{0, 3, 1, 2, 3};
  const View<const int> view{labels.data(), {5}};
  check_gradient({logits.variable()}, [&](auto& ex) { return cross_entropy(ex, logits.variable(), view); });
  check_gradient({logits.variable()},
                 [&](auto& ex) { return softmax_then_cross_entropy(ex, logits.variable(), view); });
}

TEST_CASE("sum and scale; a tensor used twice gets both gradients") {
  D x({3, 4}, 27), y({3, 4}, 28);
  check_gradient({x.variable(), y.variable()}, [&](auto& ex) {
    return sum(ex, {x.variable(), Tensor<double>{}, scale(ex, y.variable(), -2.5), x.variable()});
  });
  check_gradient({x.variable()},
                 [&](auto& ex) { return gated_activation(ex, x.variable(), x.variable(), Activation::tanh); });
}

TEST_CASE("auxiliary losses") {
  D scores({7, 5}, 29), noisy({7, 5}, 30), deviation({7, 5}, 31);
  for (double& v : deviation.values) v = std::abs(v) + 0.3;
  check_gradient({scores.variable()}, [&](auto& ex) {
    const auto probabilities = softmax(ex, scores.variable());
    const auto top = top_m(ex, probabilities, 2);
    const auto plan = routing_plan(ex, top.expert, 5);
    return sum(ex, {cv_squared(ex, importance(ex, top.value, plan)), balance_loss(ex, probabilities, plan),
                    z_loss(ex, scores.variable())});
  });
  check_gradient({scores.variable(), noisy.variable(), deviation.variable()}, [&](auto& ex) {
    return cv_squared(ex, smooth_load(ex, scores.variable(), noisy.variable(), deviation.variable(), 2));
  });
}
