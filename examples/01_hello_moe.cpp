// A Mixture-of-Experts layer with inhibited routing: made, run, asked which experts it chose.

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
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 7) - 3;

  Cpu cpu;
  const auto out = layer.forward(cpu, tensor(values, {4, 32}));

  std::printf("%s, %td parameters\n", cpu.describe().c_str(), parameters.count());
  for (Index token = 0; token < 4; ++token)
    std::printf("token %td: expert %d (%.3f) and expert %d (%.3f), first output %+.4f\n", token,
                out.routing.plan.expert(token, 0), out.routing.gates(token, 0), out.routing.plan.expert(token, 1),
                out.routing.gates(token, 1), out.y(token, 0));
}
