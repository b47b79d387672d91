// A gate term of one's own, joined to the paper's: feature-wise suppression of what is loud across the batch.
// Trained, and its gradient checked against finite differences.

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/analysis/check_gradients.hpp>
#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

// ---- the term
// --------------------------------------------------------------------------------------------------------
/// −s ⊙ mean over the batch of z: each neuron is inhibited as much as it is common to all tokens; s is learned.
struct Commonness {
  static constexpr std::string_view kName = "commonness";
  struct Config {};
  template <class T>
  struct Module {
    Parameter<T> weight;  ///< [gated, gated], from the mean activation to each neuron's inhibition

    Module(const Config&, const InhibitionSizes& sizes) : weight({sizes.gated, sizes.gated}, init::normal(0.1)) {}
    void visit(auto&& v) { v("weight", weight); }
    Tensor<T> term(auto& ex, const InhibitionInputs<T>& inputs) const {
      return linear(ex, batch_pool(ex, inputs.gated, Pooling::mean), weight.tensor);
    }
  };
};
using CommonnessInhibition = Gated<Glu, Commonness>;
// ----------------------------------------------------------------------------------------------------------------------

using Layer = MoeLayer<TwoLayerRouter<Tanh>, CommonnessInhibition, Dense, Mlp<Tanh>, Cpu<double>>;

int main() {
  Layer layer({.width = 6, .experts = 3, .hidden = {8}, .output = 3, .router = {.hidden = 5}});
  Parameters<double> parameters(layer, 7);
  Cpu<double> cpu;
  std::vector<double> values(10 * 6);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(0.7 * static_cast<double>(i));
  std::vector<int> labels{0, 1, 2, 0, 1, 2, 0, 1, 2, 0};
  const auto x = tensor(values, {10, 6});
  const auto loss_at = [&](auto& ex) { return cross_entropy(ex, layer.forward(ex, x).y, {labels.data(), {10}}); };

  const GradientCheck check = check_gradients(parameters, loss_at);
  std::printf("%s\n", check.text().c_str());

  Adam<double> adam(parameters, {.learning_rate = 1e-2});
  double first = 0, last = 0;
  for (int step = 0; step < 200; ++step) {
    Recording ex(cpu);
    const auto loss = loss_at(ex);
    (step == 0 ? first : last) = loss[0];
    ex.backward(loss);
    adam.step(cpu, parameters);
  }
  std::printf("loss from %.3f to %.3f\n", first, last);
  return check.passed() && last < first / 2 ? 0 : 1;
}
