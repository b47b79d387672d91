// A router of your own: experts with places in the features' space, each token to the nearest.
//
// Output:
//   step   0: loss 0.66
//   step 100: loss 0.07
//   step 200: loss 0.03
//   step 300: loss 0.01
//   around (-0.5, -0.5): expert 2
//   around (-0.5, +0.5): expert 0
//   around (+0.5, -0.5): expert 3
//   around (+0.5, +0.5): expert 1

#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

/// Scores by distance: r_k(u) = −|u − c_k|², with trained centres c.
struct NearestCentre {
  static constexpr ScoreKind kScoreKind = ScoreKind::logits;
  struct Config {
    double deviation = 1;  ///< of the centres at first
  };
  template <class T>
  struct Module {
    Parameter<T> centres;  ///< [experts, features]

    Module(const Config& config, Index features, Index experts)
        : centres({experts, features}, init::normal(config.deviation)) {}
    void visit(auto&& v) { v("centres", centres); }
    [[nodiscard]] Index gated_width() const { return centres.tensor.shape[1]; }
    [[nodiscard]] Tensor<T> gated(auto& /*ex*/, const Tensor<T>& x) const { return x; }  // inhibition acts on u
    [[nodiscard]] RouterOutput<T> scores(auto& ex, const Tensor<T>& z) const {
      const Tensor<T>& c = centres;
      const auto norms = row_sums(ex, multiply(ex, c, c)).reshaped({1, c.rows()});
      const auto products = linear(ex, z, c, {}, LinearUse::routing);
      return {subtract(ex, scale(ex, products, 2), norms), z};  // −|u|² is the same for all experts
    }
  };
};

int main() {
  // A grid of points, whose class is that of the quadrants: the sign of the product of their coordinates.
  std::vector<float> values;
  std::vector<int> labels;
  for (float x = -.95F; x < 1; x += .1F)
    for (float y = -.95F; y < 1; y += .1F) {
      values.insert(values.end(), {x, y});
      labels.push_back(x * y > 0 ? 1 : 0);
    }
  const auto points = tensor(values, {400, 2});

  // The experts are linear: only routing can tell the quadrants apart.
  using Layer = MoeLayer<NearestCentre, NoInhibition, TopM<2>>;
  Layer layer({.width = 2, .experts = 4, .output = 2, .router = {.deviation = 0.5}});
  Parameters<float> parameters(layer, /*seed=*/1);
  Adam<float> adam(parameters, {.learning_rate = 3e-2});
  Cpu cpu;
  for (int step = 0; step <= 300; ++step) {
    Recording ex(cpu);
    const auto loss = cross_entropy(ex, layer.forward(ex, points).y, labels);
    ex.backward(loss);
    adam.step(cpu, parameters);
    if (step % 100 == 0) std::printf("step %3d: loss %.2f\n", step, loss[0]);
  }

  std::vector<float> corners{-.5, -.5, -.5, .5, .5, -.5, .5, .5};
  cpu.begin_step();
  const auto x = tensor(corners, {4, 2});
  const auto out = layer.forward(cpu, x);
  for (Index i = 0; i < 4; ++i)
    std::printf("around (%+.1f, %+.1f): expert %d\n", x(i, 0), x(i, 1), out.routing.plan.expert(i, 0));
}
