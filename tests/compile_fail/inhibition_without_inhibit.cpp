// expect: an inhibition's Module<T> needs inhibit\(executor, z, inputs\) const returning Inhibited<T>
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Inhibition {
  struct Config {};
  template <class T>
  struct Module {
    Module(const Config&, const InhibitionSizes&) {}
    void visit(auto&&) {}
  };
};
MoeLayer<LinearRouter, Inhibition> layer({.width = 1, .experts = 1});
