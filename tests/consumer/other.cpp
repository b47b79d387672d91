#include <neuroinhib/neuroinhib.hpp>

#include <vector>

float other_unit(const std::vector<float>& values) {
  using Layer = neuroinhib::MoeLayer<neuroinhib::LinearRouter, neuroinhib::GluInhibition>;
  Layer layer({.width = 4, .experts = 3, .hidden = {5}});
  const neuroinhib::Parameters<float> parameters(layer, 1);
  neuroinhib::Cpu cpu;
  std::vector<float> copy(values);
  return layer.forward(cpu, neuroinhib::tensor(copy, {2, 4})).y[0];
}
