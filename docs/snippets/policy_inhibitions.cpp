// The examples of docs/policies on inhibition: what each makes of the same token, in training.

#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

template <class Inhibition>
using Layer = MoeLayer<LinearRouter, Inhibition>;

/// Prints z* of the first of three tokens in two training iterations on the same batch.
template <class Inhibition>
void print(const char* name, Layer<Inhibition>& layer, std::size_t earlier_activations = 0) {
  const Parameters<float> parameters(layer, /*seed=*/1);
  std::vector<float> values(3 * 4), before(3 * 6);
  for (float phase = 0; float& value : values) value = std::cos(phase += 0.9F);
  for (float phase = 0; float& value : before) value = std::sin(phase += 0.7F);
  const std::array earlier{tensor(before, {3, 6})};
  Cpu cpu({.seed = 5});
  std::printf("%s\n", name);
  for (int iteration = 0; iteration < 2; ++iteration) {
    Recording ex(cpu);
    const auto out = layer.forward(ex, tensor(values, {3, 4}), std::span(earlier).first(earlier_activations));
    std::printf("  iteration %d: z* =", iteration);
    for (Index i = 0; i < 4; ++i) std::printf(" %+.2f", out.inhibited.z(0, i) + 0.0F);  // no −0
    std::printf("\n");
  }
}

int main() {
  Layer<NoInhibition> none({.width = 4, .experts = 4, .hidden = {8}});
  print("NoInhibition", none);

  Layer<RandomInhibition> random({.width = 4, .experts = 4, .hidden = {8}, .inhibition = {.p = 0.5}});
  print("RandomInhibition", random);

  Layer<GluInhibition> glu({.width = 4, .experts = 4, .hidden = {8}});
  print("GluInhibition", glu);

  Layer<PretextInhibition> pretext({.width = 4,
                                    .experts = 4,
                                    .hidden = {8},
                                    .inhibition = PretextInhibition::with(Pretext::Config{.earlier_widths = {6}})});
  print("PretextInhibition", pretext, 1);

  Layer<PosttextInhibition> posttext(
      {.width = 4,
       .experts = 4,
       .hidden = {8},
       .inhibition = PosttextInhibition::with(Posttext::Config{.pooling = Pooling::mean})});
  print("PosttextInhibition", posttext);

  Layer<GlobalInhibition> global(
      {.width = 4,
       .experts = 4,
       .hidden = {8},
       .inhibition = GlobalInhibition::with(Pretext::Config{.earlier_widths = {6}}, Bracket::as_printed)});
  print("GlobalInhibition", global, 1);

  // Two layers of widths 4 and 2, each gated by the other: the first by the second's iteration before.
  AllToAll<float> all_to_all({4, 2}, {.pooling = Pooling::mean});
  const Parameters<float> parameters(all_to_all, /*seed=*/1);
  std::vector<float> first{1, 1, 1, 1}, second{1, 1};
  Cpu cpu;
  std::printf("AllToAll\n");
  for (int iteration = 0; iteration < 2; ++iteration) {
    Recording ex(cpu);
    auto pass = all_to_all.begin(ex);
    const auto z0 = pass.inhibit(tensor(first, {1, 4}));
    const auto z1 = pass.inhibit(tensor(second, {1, 2}));
    std::printf("  iteration %d: z0* = %.2f %.2f …, z1* = %.2f %.2f\n", iteration, z0[0], z0[1], z1[0], z1[1]);
  }
}
