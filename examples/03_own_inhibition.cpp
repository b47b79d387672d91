// An inhibition of your own: a gate term, beside the paper's local one, with its gradients checked.
//
// Output:
//   the gradients are right
//   step  0: loss 1.11
//   step 20: loss 0.26
//   step 40: loss 0.03

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/analysis/check_gradients.hpp>
#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

/// A gate term C · mean(z), the mean being over the batch: a neuron can be inhibited by what all tokens have in common.
struct Commonness {
  static constexpr std::string_view kName = "commonness";
  struct Config {};
  template <class T>
  struct Module {
    Parameter<T> weight;  ///< C [gated, gated]

    Module(const Config&, const InhibitionSizes& sizes) : weight({sizes.gated, sizes.gated}, init::normal(0.1)) {}
    void visit(auto&& v) { v("weight", weight); }
    Tensor<T> term(auto& ex, const InhibitionInputs<T>& inputs) const {
      return linear(ex, batch_pool(ex, inputs.gated, Pooling::mean), weight);
    }
  };
};

int main() {
  using Layer = MoeLayer<TwoLayerRouter<Tanh>, Gated<Glu, Commonness>, Dense, Mlp<Tanh>, Cpu<double>>;
  Layer layer({.width = 6, .experts = 3, .hidden = {8}, .output = 3, .router = {.hidden = 5}});
  Parameters<double> parameters(layer, /*seed=*/7);
  std::vector<double> values(9 * 6);
  for (double phase = 0; double& value : values) value = std::sin(phase += 0.7);
  const std::vector<int> labels{0, 1, 2, 0, 1, 2, 0, 1, 2};
  const auto x = tensor(values, {9, 6});
  const auto loss_of = [&](auto& ex) { return cross_entropy(ex, layer.forward(ex, x).y, labels); };

  // backward() against finite differences, in double, for every parameter.
  const GradientCheck check = check_gradients(parameters, loss_of);
  std::printf("%s\n", check.passed() ? "the gradients are right" : check.text().c_str());

  Adam<double> adam(parameters, {.learning_rate = 1e-2});
  Cpu<double> cpu;
  for (int step = 0; step <= 40; ++step) {
    Recording ex(cpu);
    const auto loss = loss_of(ex);
    ex.backward(loss);
    adam.step(cpu, parameters);
    if (step % 20 == 0) std::printf("step %2d: loss %.2f\n", step, loss[0]);
  }
}
