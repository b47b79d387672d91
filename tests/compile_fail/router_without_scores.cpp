// expect: a router's Module<T> needs scores\(executor, z\) const returning RouterOutput<T>
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Router {
  static constexpr ScoreKind kScoreKind = ScoreKind::logits;
  struct Config {};
  template <class T>
  struct Module {
    Module(const Config&, Index, Index) {}
    void visit(auto&&) {}
    Tensor<T> gated(auto&, const Tensor<T>& x) const { return x; }
    Index gated_width() const { return 1; }
  };
};
MoeLayer<Router> layer({.width = 1, .experts = 1});
