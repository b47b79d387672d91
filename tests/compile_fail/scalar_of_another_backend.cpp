// expect: the executor's scalar is not the layer's: match their backends
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
void run(MoeLayer<LinearRouter>& layer, Cpu<double>& cpu, Tensor<float> x) {
  (void)layer.forward(cpu, x);
}
