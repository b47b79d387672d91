// Who works: expert loads, routing entropy and dead experts, without and with two ways of balancing.
//
// Output:
//   Switch:                  3 of 8 experts dead, the busiest has 2.7 times its share, entropy 1.3 nats
//   Switch, balance loss:    0 of 8 experts dead, the busiest has 1.6 times its share, entropy 1.5 nats
//   BalancedTopM<1>:         0 of 8 experts dead, the busiest has 1.2 times its share, entropy 1.9 nats

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/analysis/routing.hpp>
#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

/// Trains a classifier of directions in the plane, one expert a token, and tells how its experts are used in the end.
template <class Mix>
void train(const char* name, double balance) {
  std::vector<float> values;
  std::vector<int> labels;
  for (float angle = 0; angle < 6.25F; angle += 1.0F / 32) {
    values.insert(values.end(), {std::cos(angle), std::sin(angle)});
    labels.push_back(std::sin(8 * angle) > 0 ? 1 : 0);
  }
  const auto x = tensor(values, {200, 2});

  MoeLayer<LinearRouter, NoInhibition, Mix> layer(
      {.width = 2, .experts = 8, .hidden = {16}, .output = 2, .auxiliary = {.balance = balance}});
  Parameters<float> parameters(layer, /*seed=*/1);
  Adam<float> adam(parameters, {.learning_rate = 1e-2});
  Cpu cpu;
  RoutingAnalysis seen;
  for (int step = 0; step < 200; ++step) {
    Recording ex(cpu);
    const auto out = layer.forward(ex, x);
    const auto loss = sum(ex, {cross_entropy(ex, out.y, labels), out.auxiliary});
    if (step >= 150) seen += analyse(cpu, routing_counts(ex, out.routing));  // adds up 50 batches
    ex.backward(loss);
    adam.step(cpu, parameters);
  }
  std::printf("%-24s %td of 8 experts dead, the busiest has %.1f times its share, entropy %.1f nats\n", name,
              std::ssize(seen.dead()), seen.imbalance(), seen.entropy());
}

int main() {
  train<Switch>("Switch:", 0);
  train<Switch>("Switch, balance loss:", 0.05);
  train<BalancedTopM<1>>("BalancedTopM<1>:", 0);
}
