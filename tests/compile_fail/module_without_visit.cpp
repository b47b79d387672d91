// expect: a module needs visit\(v\), which calls v\(.?"name.?", part\) for each of its parts
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Term {
  struct Config {};
  template <class T>
  struct Module {
    Parameter<T> weight;
    Module(const Config&, const InhibitionSizes& sizes) : weight({1, sizes.gated}, init::zeros()) {}
    Tensor<T> term(auto&, const InhibitionInputs<T>&) const { return weight; }
  };
};
void train(MoeLayer<LinearRouter, Gated<Term>>& layer) {
  Parameters<float> parameters(layer, 1);
}
