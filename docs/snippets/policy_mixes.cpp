// The examples of docs/policies on mixes, and the mix of docs/write-a-policy.md: the same four tokens, each routed by
// another rule.

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

template <class Mix>
using Layer = MoeLayer<LinearRouter, NoInhibition, Mix>;

/// Prints which experts four tokens get, and with which gates.
template <class Mix>
void print(const char* name, Layer<Mix>& layer) {
  const Parameters<float> parameters(layer, /*seed=*/3);
  std::vector<float> values(4 * 4);
  for (float phase = 0; float& value : values) value = 2 * std::sin(phase += 0.7F);
  Cpu cpu;
  const auto routing = layer.forward(cpu, tensor(values, {4, 4})).routing;
  std::printf("%s\n", name);
  for (Index token = 0; token < 4; ++token) {
    std::printf("  token %td:", token);
    for (Index slot = 0; slot < routing.gates.cols(); ++slot)
      if (const int expert = routing.plan.expert(token, slot); expert < 4)
        std::printf("  expert %d × %.2f", expert, routing.gates(token, slot));
    std::printf("\n");
  }
}

/// The M best experts of each token with equal gates, 1 / M. No gradient of the task reaches the router through such
/// gates; a loss of the mix's own trains it towards even loads.
template <Index M>
struct UniformTopM {
  static constexpr bool kTakesProbabilities = true;
  struct Config {
    double balance_weight = 0.01;
  };
  template <class T>
  struct Module {
    double balance_weight;

    Module(const Config& config, const MixSizes& sizes) : balance_weight(config.balance_weight) {
      require_experts("uniform top M", M, sizes);
    }
    void visit(auto&&) {}  // it has no parameters
    Routing<T> route(auto& ex, const RouterOutput<T>& router, ScoreKind kind) const {
      const auto [expert, score] = top_m(ex, router.scores, M);
      const RoutingPlan plan = routing_plan(ex, expert, router.scores.cols());
      const Tensor<T> gates = ex.tensor(score.shape, /*wants_gradient=*/false);
      ex.backend().fill(gates.data, gates.size(), 1 / static_cast<T>(M));
      const Tensor<T> p = kind == ScoreKind::logits ? softmax(ex, router.scores) : router.scores;
      return {plan, gates, p, scale(ex, balance_loss(ex, p, plan), balance_weight)};
    }
  };
};

int main() {
  Layer<TopM<2>> top_m({.width = 4, .experts = 4, .hidden = {8}});
  print("TopM<2>", top_m);

  Layer<SoftmaxOfTopM<2>> softmax_of_top_m({.width = 4, .experts = 4, .hidden = {8}});
  print("SoftmaxOfTopM<2>", softmax_of_top_m);

  Layer<SoftmaxOfTopProbabilities<2>> twice({.width = 4, .experts = 4, .hidden = {8}});
  print("SoftmaxOfTopProbabilities<2>", twice);

  Layer<Switch> best({.width = 4, .experts = 4, .hidden = {8}});
  print("Switch", best);

  Layer<Dense> dense({.width = 4, .experts = 4, .hidden = {8}});
  print("Dense", dense);

  Layer<NoisyTopK<2>> noisy({.width = 4, .experts = 4, .hidden = {8}, .mix = {.load_weight = 0.01}});
  print("NoisyTopK<2>, outside training", noisy);

  Layer<TopP<3>> top_p({.width = 4, .experts = 4, .hidden = {8}, .mix = {.p = 0.5}});
  print("TopP<3>", top_p);

  Layer<SigmoidTopM<2>> sigmoid({.width = 4, .experts = 4, .hidden = {8}});
  print("SigmoidTopM<2>", sigmoid);

  Layer<BalancedTopM<2>> balanced({.width = 4, .experts = 4, .hidden = {8}, .mix = {.rate = 1e-3}});
  print("BalancedTopM<2>, before training", balanced);

  Layer<ScheduledTopM> scheduled({.width = 4, .experts = 4, .hidden = {8}, .mix = {.first = 1, .growth_steps = 100}});
  print("ScheduledTopM, before training", scheduled);

  Layer<ExpertChoice<2>> choice({.width = 4, .experts = 4, .hidden = {8}, .mix = {.capacity = 1}});
  print("ExpertChoice<2>", choice);

  Layer<UniformTopM<2>> uniform({.width = 4, .experts = 4, .hidden = {8}, .mix = {.balance_weight = 0.1}});
  print("UniformTopM<2>", uniform);
}
