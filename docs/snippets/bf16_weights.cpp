// The program of docs/serving.md on weights in bf16.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

int main() {
  MoeLayer<LinearRouter, NoInhibition, TopM<2>, SwiGlu> layer({.width = 64, .experts = 8, .hidden = {128}});
  Parameters<float> parameters(layer, /*seed=*/1);
  std::vector<float> features(64);
  for (std::size_t i = 0; i < features.size(); ++i) features[i] = std::sin(static_cast<float>(i));

  const Bf16Weights weights(parameters);  // rounded here, once
  Cpu cpu({.bf16_weights = &weights});
  const auto y = layer.forward(cpu, tensor(features, {1, 64})).y;

  Cpu in_float;
  const auto exact = layer.forward(in_float, tensor(features, {1, 64})).y;
  float largest = 0, difference = 0;
  for (Index i = 0; i < y.size(); ++i) {
    largest = std::max(largest, std::abs(exact[i]));
    difference = std::max(difference, std::abs(y[i] - exact[i]));
  }
  std::printf("experts: %zu KiB in bf16\n", weights.bytes() >> 10);
  std::printf("the largest difference is %s 1 %% of the largest output\n",
              difference < .01F * largest ? "below" : "above");
}
