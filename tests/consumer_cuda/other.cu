#include <neuroinhib/cuda.cuh>

float layer_output(neuroinhib::Cuda<float>& cuda) {
  using Layer = neuroinhib::MoeLayer<neuroinhib::LinearRouter, neuroinhib::GluInhibition>;
  Layer layer({.width = 4, .experts = 3, .hidden = {5}});
  const neuroinhib::Parameters<float> parameters(layer, 1, cuda.space());
  cuda.begin_step();
  const auto x = cuda.tensor({2, 4}, false);
  cuda.fill(x.data, x.size(), 0.5f);
  return cuda.value(layer.forward(cuda, x).y.data);
}
