// expect: an expert Module<T> needs forward\(executor, x, plan\) const returning Tensor<T>
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Expert {
  struct Config {};
  template <class T>
  struct Module {
    Module(const Config&, const ExpertSizes&) {}
    void visit(auto&&) {}
  };
};
MoeLayer<LinearRouter, NoInhibition, TopM<1>, Expert> layer({.width = 1, .experts = 1});
