// Pre- and post-text inhibition: the gate looks at an earlier layer, and at the iteration before.
//
// Output:
//   iteration 0: the first token's gates are 0.446 0.425 0.515 …
//   iteration 1: the first token's gates are 0.375 0.528 0.524 …
//   iteration 2: the first token's gates are 0.373 0.539 0.538 …
//   inference:   the first token's gates are 0.373 0.539 0.538 …

#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

int main() {
  // All terms: σ(G(x) + pre-text + post-text), the last averaged over the batch.
  MoeLayer<LinearRouter, GlobalInhibition> layer(
      {.width = 8,
       .experts = 4,
       .hidden = {16},
       .inhibition =
           GlobalInhibition::with(Pretext::Config{.earlier_widths = {6}}, Posttext::Config{.pooling = Pooling::mean})});
  const Parameters<float> parameters(layer, /*seed=*/1);

  // Three tokens, and what a layer before this one made of them.
  std::vector<float> before(3 * 6), tokens(3 * 8);
  for (float phase = 0; float& value : before) value = std::sin(phase += 0.7F);
  for (float phase = 0; float& value : tokens) value = std::cos(phase += 0.9F);
  const std::array earlier{tensor(before, {3, 6})};
  const auto x = tensor(tokens, {3, 8});

  const auto print_gate = [](const char* when, const auto& out) {
    const auto& gate = out.inhibited.mask;
    std::printf("%-12s the first token's gates are %.3f %.3f %.3f …\n", when, gate(0, 0), gate(0, 1), gate(0, 2));
  };
  Cpu cpu;
  for (const char* when : {"iteration 0:", "iteration 1:", "iteration 2:"}) {
    Recording ex(cpu);  // in iteration 0 there is nothing to remember yet
    print_gate(when, layer.forward(ex, x, earlier));
  }
  cpu.begin_step();  // inference remembers the last training iteration, and changes nothing
  print_gate("inference:", layer.forward(cpu, x, earlier));
}
