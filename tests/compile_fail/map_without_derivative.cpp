// expect: map: a functor that gradients pass through has derivative
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Square {
  template <class T>
  T operator()(T x) const {
    return x * x;
  }
};
Tensor<float> train(Recording<Cpu<float>>& ex, const Tensor<float>& x) {
  return map(ex, Square{}, x);
}
