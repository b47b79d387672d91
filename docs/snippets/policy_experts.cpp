// The examples of docs/policies on experts and on losses that balance them.

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

template <class Experts>
using Layer = MoeLayer<LinearRouter, NoInhibition, TopM<2>, Experts>;

/// Prints the size of a layer, its first output, and its auxiliary loss where it has one.
template <class Experts>
void print(const char* name, Layer<Experts>& layer) {
  const Parameters<float> parameters(layer, /*seed=*/1);
  std::vector<float> values(3 * 4);
  for (float phase = 0; float& value : values) value = std::sin(phase += 0.7F);
  Cpu cpu;
  const auto out = layer.forward(cpu, tensor(values, {3, 4}));
  std::printf("%s\n  %td parameters, y = %+.3f %+.3f …", name, parameters.count(), out.y[0], out.y[1]);
  if (out.auxiliary.defined()) std::printf(", auxiliary loss %.3f", out.auxiliary[0]);
  std::printf("\n");
}

int main() {
  Layer<Mlp<Relu>> mlp({.width = 4, .experts = 4, .hidden = {16, 8}, .expert = {.output = Activation::tanh}});
  print("Mlp<Relu>", mlp);

  Layer<SwiGlu> swiglu({.width = 4, .experts = 4, .hidden = {16}});
  print("SwiGlu", swiglu);

  Layer<GeGlu> geglu({.width = 4, .experts = 4, .hidden = {16}});
  print("GeGlu", geglu);

  Layer<Mlp<Relu>> shared({.width = 4, .experts = 8, .hidden = {4}, .shared = 1});
  print("eight fine-grained experts and a shared one", shared);

  Layer<Mlp<Relu>> balanced(
      {.width = 4, .experts = 4, .hidden = {16}, .auxiliary = {.importance = 0.1, .balance = 0.01, .z = 0.001}});
  print("with auxiliary losses", balanced);
}
