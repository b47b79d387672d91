// expect: a mix's Module<T> needs route\(executor, RouterOutput<T>, ScoreKind\) const returning Routing<T>
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Mix {
  static constexpr bool kTakesProbabilities = true;
  struct Config {};
  template <class T>
  struct Module {
    Module(const Config&, const MixSizes&) {}
    void visit(auto&&) {}
  };
};
MoeLayer<LinearRouter, NoInhibition, Mix> layer({.width = 1, .experts = 1});
