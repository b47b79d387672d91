// expect: a router needs kScoreKind, logits or probabilities
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Router {
  struct Config {};
  template <class T>
  struct Module {
    Module(const Config&, Index, Index) {}
    void visit(auto&&) {}
    Tensor<T> gated(auto&, const Tensor<T>& x) const { return x; }
    Index gated_width() const { return 1; }
    RouterOutput<T> scores(auto&, const Tensor<T>& z) const { return {z, z}; }
  };
};
void run(MoeLayer<SimilarityInform<Router>>& layer, Cpu<float>& cpu, Tensor<float> x) {
  (void)layer.forward(cpu, x);
}
