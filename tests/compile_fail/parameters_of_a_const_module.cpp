// expect: Parameters takes a module with visit\(v\), not const
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
void train(const MoeLayer<LinearRouter>& layer) {
  Parameters<float> parameters(layer, 1);
}
