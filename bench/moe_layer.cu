// One MoE layer with SwiGLU experts at the shapes of known models: forward, and forward with backward, in TFLOP/s and
// memory beside the parameters. To be set against bench/peers/moe_layer_torch.py.
//   moe_layer [--shapes a,b] [--precision tf32|bf16|strict] [--routing strict|tf32]

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "moe_shapes.hpp"
#include "options.cuh"
#include "timing.cuh"

namespace {

using namespace neuroinhib;

template <Index M>
void measure(const bench::MoeShape& s, const CudaOptions& options) {
  using Layer = MoeLayer<LinearRouter, NoInhibition, SoftmaxOfTopM<M>, SwiGlu>;
  Layer layer({.width = s.width, .experts = s.experts, .hidden = {s.hidden}});
  for (auto& [name, leaf] : detail::leaves_of<float>(layer).parameters) leaf->initializer = init::zeros();
  Cuda<float> cuda(options);
  Parameters<float> parameters(layer, 1, cuda.space());
  fill_randomly(cuda, parameters.values(), 1, .02f);
  Storage<float> x(cuda.space()), dx(cuda.space());
  for (auto* storage : {&x, &dx}) storage->resize(s.tokens * s.width);
  const Shape shape{s.tokens, s.width};
  fill_randomly(cuda, {x.data(), shape}, 2, 1);
  bool written = false;
  Tensor<float> tokens;
  tokens.data = x.data();
  tokens.shape = shape;
  const double forward = median(cuda, [&] {
    cuda.begin_step();
    (void)layer.forward(cuda, tokens);
  });
  tokens.gradient = dx.data();
  tokens.gradient_written = &written;
  const double both = median(cuda, [&] {
    written = false;
    parameters.zero_gradients();
    Recording ex(cuda);
    const auto means = batch_pool(ex, layer.forward(ex, tokens).y, Pooling::mean);
    ex.backward(batch_pool(ex, means.reshaped({s.width, 1}), Pooling::mean).reshaped(Shape::scalar()));
  });
  const double flops = s.flops();
  std::printf("layer %-10s forward %8.3f ms %6.1f TFLOP/s, with backward %8.3f ms %6.1f TFLOP/s, step memory %zu MiB\n",
              s.name, forward, flops / forward / 1e9, both, 3 * flops / both / 1e9, cuda.peak_bytes() >> 20);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("MoE layers at the shapes of known models");
  std::vector<std::string> names;
  CudaOptions options;
  app.add_option("--shapes", names, "default: all")->delimiter(',');
  add_precisions(app, options);
  CLI11_PARSE(app, argc, argv);
  std::printf("# neuroinhib %s, %s\n", NEUROINHIB_VERSION, Cuda<float>(options).describe().c_str());
  for (const bench::MoeShape& s : bench::kMoeShapes) {
    if (!names.empty() && std::find(names.begin(), names.end(), s.name) == names.end()) continue;
    if (s.chosen == 2)
      measure<2>(s, options);
    else
      measure<8>(s, options);
  }
}
