// expect: map: a functor is copied byte by byte, so its members are numbers or pointers
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Polynomial {
  std::vector<float> coefficients;
  template <class T>
  T operator()(T x) const {
    return static_cast<T>(coefficients[0]) * x;
  }
};
Tensor<float> apply(Cpu<float>& cpu, const Tensor<float>& x) {
  return map(cpu, Polynomial{{1}}, x);
}
