// A Mixture-of-Experts layer with inhibited routing: made, run, and asked which experts it chose.
//
// Output:
//   34856 parameters
//   token 0: expert 7 (0.554) and expert 2 (0.446), first output -0.0259
//   token 1: expert 5 (0.531) and expert 3 (0.469), first output +0.1505
//   token 2: expert 7 (0.511) and expert 6 (0.489), first output +0.1064
//   token 3: expert 5 (0.577) and expert 1 (0.423), first output +0.0022

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

int main() {
  // Inhibition z ⊙ σ(G(x)) before a linear router; the best 2 of 8 experts, each an MLP with 64 hidden units.
  using Layer = MoeLayer<LinearRouter, GluInhibition, TopM<2>, Mlp<Relu>>;
  Layer layer({.width = 32, .experts = 8, .hidden = {64}});
  const Parameters<float> parameters(layer, /*seed=*/42);

  std::vector<float> values(4 * 32);
  for (float phase = 0; float& value : values) value = std::sin(phase += 0.7F);

  Cpu cpu;
  const auto out = layer.forward(cpu, tensor(values, {4, 32}));

  std::printf("%td parameters\n", parameters.count());
  for (Index token = 0; token < 4; ++token)
    std::printf("token %td: expert %d (%.3f) and expert %d (%.3f), first output %+.4f\n", token,
                out.routing.plan.expert(token, 0), out.routing.gates(token, 0), out.routing.plan.expert(token, 1),
                out.routing.gates(token, 1), out.y(token, 0));
}
