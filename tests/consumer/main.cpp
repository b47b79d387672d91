#include <neuroinhib/neuroinhib.hpp>

#include <vector>

float other_unit(const std::vector<float>& values);

int main() {
  using Layer = neuroinhib::MoeLayer<neuroinhib::LinearRouter, neuroinhib::GluInhibition>;
  Layer layer({.width = 4, .experts = 3, .hidden = {5}});
  const neuroinhib::Parameters<float> parameters(layer, 1);
  neuroinhib::Cpu cpu;
  std::vector<float> values(8, 0.5f);
  const float here = layer.forward(cpu, neuroinhib::tensor(values, {2, 4})).y[0];
  return here == other_unit(values) ? 0 : 1;
}
