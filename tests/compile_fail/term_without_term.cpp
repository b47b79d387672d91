// expect: a gate term's Module<T> needs term\(executor, InhibitionInputs<T>\) const returning Tensor<T>
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Term {
  struct Config {};
  template <class T>
  struct Module {
    Module(const Config&, const InhibitionSizes&) {}
    void visit(auto&&) {}
  };
};
MoeLayer<LinearRouter, Gated<Glu, Term>> layer({.width = 1, .experts = 1});
