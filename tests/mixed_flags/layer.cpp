// One unit of a program whose units are compiled with different flags: UNIT() is the largest difference between an MoE
// layer's forward pass and training step by the library, and computed plainly.

#include "plain.hpp"

double UNIT();

namespace {

constexpr Index kExperts = 4, kHidden = 24;
constexpr double kRate = 0.5;

/// An MoE layer with its two best experts, and a step of gradient descent on the cross-entropy of its output.
struct PlainLayer {
  Matrix router, router_bias, first, first_bias, second, second_bias;  // experts below each other

  explicit PlainLayer(const Parameters<float>& p)
      : router(p["router.score.weight"]),
        router_bias(p["router.score.bias"]),
        first(p["experts.layers.0.weight"].reshaped({kExperts * kHidden, kWidth})),
        first_bias(p["experts.layers.0.bias"]),
        second(p["experts.layers.1.weight"].reshaped({kExperts * kWidth, kHidden})),
        second_bias(p["experts.layers.1.bias"]) {}

  /// y, after which the parameters are a step further.
  Matrix step(Matrix x, const std::vector<int>& labels) {
    Matrix y(kTokens, kWidth);
    PlainLayer next = *this;
    for (Index t = 0; t < kTokens; ++t) {
      Numbers logits(kExperts);
      for (Index e = 0; e < kExperts; ++e) {
        logits[static_cast<std::size_t>(e)] = router_bias.values[static_cast<std::size_t>(e)];
        for (Index i = 0; i < kWidth; ++i) logits[static_cast<std::size_t>(e)] += router(e, i) * x(t, i);
      }
      Index chosen[2];
      double gate[2];
      for (Index& c : chosen) {
        c = std::max_element(logits.begin(), logits.end()) - logits.begin();
        gate[&c - chosen] = std::exp(logits[static_cast<std::size_t>(c)]);
        logits[static_cast<std::size_t>(c)] = -1e30;
      }
      const double total = gate[0] + gate[1];
      Matrix hidden(2, kHidden), output(2, kWidth);
      for (Index j = 0; j < 2; ++j) {
        gate[j] /= total;
        for (Index h = 0; h < kHidden; ++h) {
          hidden(j, h) = first_bias(chosen[j], h);
          for (Index i = 0; i < kWidth; ++i) hidden(j, h) += first(chosen[j] * kHidden + h, i) * x(t, i);
          hidden(j, h) = std::max(0.0, hidden(j, h));
        }
        for (Index o = 0; o < kWidth; ++o) {
          output(j, o) = second_bias(chosen[j], o);
          for (Index h = 0; h < kHidden; ++h) output(j, o) += second(chosen[j] * kWidth + o, h) * hidden(j, h);
          y(t, o) += gate[j] * output(j, o);
        }
      }
      // Backwards: dy of the mean cross-entropy, then each expert's two layers, then the router.
      Numbers dy(kWidth);
      double sum = 0;
      for (Index o = 0; o < kWidth; ++o) sum += std::exp(y(t, o));
      for (Index o = 0; o < kWidth; ++o)
        dy[static_cast<std::size_t>(o)] =
            (std::exp(y(t, o)) / sum - (labels[static_cast<std::size_t>(t)] == o ? 1 : 0)) / kTokens;
      double dgate[2] = {};
      for (Index j = 0; j < 2; ++j) {
        for (Index o = 0; o < kWidth; ++o) dgate[j] += dy[static_cast<std::size_t>(o)] * output(j, o);
        for (Index h = 0; h < kHidden; ++h) {
          double dh = 0;
          for (Index o = 0; o < kWidth; ++o) {
            const double d = gate[j] * dy[static_cast<std::size_t>(o)];
            dh += d * second(chosen[j] * kWidth + o, h);
            next.second(chosen[j] * kWidth + o, h) -= kRate * d * hidden(j, h);
          }
          if (hidden(j, h) <= 0) continue;
          next.first_bias(chosen[j], h) -= kRate * dh;
          for (Index i = 0; i < kWidth; ++i) next.first(chosen[j] * kHidden + h, i) -= kRate * dh * x(t, i);
        }
        for (Index o = 0; o < kWidth; ++o)
          next.second_bias(chosen[j], o) -= kRate * gate[j] * dy[static_cast<std::size_t>(o)];
      }
      for (Index j = 0; j < 2; ++j) {
        const double d = gate[j] * (dgate[j] - gate[0] * dgate[0] - gate[1] * dgate[1]);
        next.router_bias.values[static_cast<std::size_t>(chosen[j])] -= kRate * d;
        for (Index i = 0; i < kWidth; ++i) next.router(chosen[j], i) -= kRate * d * x(t, i);
      }
    }
    *this = next;
    return y;
  }
};

}  // namespace

double UNIT() {
  using Layer = MoeLayer<LinearRouter, NoInhibition, TopM<2>, Mlp<Relu>>;
  Layer layer({.width = kWidth, .experts = kExperts, .hidden = {kHidden}});
  Parameters<float> parameters(layer, 3);
  PlainLayer plain(parameters);
  Sgd<float> sgd(parameters, {.learning_rate = kRate});
  std::vector<float> values = random_values(kTokens * kWidth, 5);
  const Tensor<float> x = tensor(values, {kTokens, kWidth});
  std::vector<int> labels(kTokens);
  for (Index t = 0; t < kTokens; ++t) labels[static_cast<std::size_t>(t)] = static_cast<int>(t * 7 % kWidth);
  Cpu<float> cpu({.threads = 2});
  const Matrix y = plain.step(Matrix(x), labels);
  double error = distance(layer.forward(cpu, x).y.data, y.values);
  {
    Recording ex(cpu);
    ex.backward(cross_entropy(ex, layer.forward(ex, x).y, {labels.data(), {kTokens}}));
    sgd.step(cpu, parameters);
  }
  const auto compare = [&](const char* name, const Matrix& expected) {
    error = std::max(error, distance(parameters[name].data, expected.values));
  };
  compare("router.score.weight", plain.router);
  compare("router.score.bias", plain.router_bias);
  compare("experts.layers.0.weight", plain.first);
  compare("experts.layers.0.bias", plain.first_bias);
  compare("experts.layers.1.weight", plain.second);
  compare("experts.layers.1.bias", plain.second_bias);
  return error;
}
