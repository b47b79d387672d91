// expect: an inhibition's Module<T> needs tap\(executor, name, tensor\) const
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Inhibition {
  struct Config {};
  template <class T>
  struct Module {
    Module(const Config&, const InhibitionSizes&) {}
    void visit(auto&&) {}
    Inhibited<T> inhibit(auto&, const Tensor<T>& z, const InhibitionInputs<T>&) const { return {z, {}}; }
  };
};
MoeLayer<LinearRouter, Inhibition> layer({.width = 1, .experts = 1});
