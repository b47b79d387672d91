// What a step costs on GPUs, one rank each, by NCCL: bench/scaling --gpus starts it for 1, 2, 4, … of them. Data
// parallel: the second paper's medium language model, a captured step whose gradients travel meanwhile, a batch for
// each rank. Expert parallel: MoE layers of known models, as many tokens for each rank. Context parallel: attention of
// one long text. Prints rows of a Markdown table; the peer is bench/peers/scaling_torch.py.
//   torchrun --nproc-per-node 2 --no-python scaling_gpus [--only data,experts,context] [--precision bf16] [--length N]

#include <neuroinhib/cuda.cuh>
#include <neuroinhib/experts/spread.hpp>
#include <neuroinhib/ops/collectives/cuda.cuh>
#include <neuroinhib/ops/ring_attention/cuda.cuh>
#include <neuroinhib/parallel/ranks.hpp>
#include <neuroinhib/parallel/rendezvous.cuh>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "language_models.hpp"
#include "moe_shapes.hpp"
#include "options.cuh"
#include "timing.cuh"

namespace {

using namespace bench;
using Link = Nccl<Rendezvous>;
using Many = Ranks<Cuda<float>, Link>;

/// Milliseconds of the slowest rank.
void report(Many& cuda, const std::string& what, Index tokens, double milliseconds) {
  const auto all = gather_numbers(cuda.communicator(), std::vector<double>{milliseconds});
  const double slowest = *std::max_element(all.begin(), all.end());
  if (cuda.rank() == 0)
    std::printf("| %s | %td | %.3f | %.0f |\n", what.c_str(), cuda.size(), slowest,
                1e3 * static_cast<double>(tokens) / slowest);
  std::fflush(stdout);
}

void data_parallel(Many& cuda) {
  using M = Model<LinearRouter, NoInhibition, 2>;
  constexpr Index kTexts = 48, kLength = 512, kVocabulary = 60000;
  const Text text(kTexts, kLength, kVocabulary);
  Storage<int> ids(cuda.space()), labels(cuda.space());
  ids.assign(text.ids.data(), std::ssize(text.ids));
  labels.assign(text.labels.data(), std::ssize(text.labels));
  M model(second_paper<M>(text, 6, 352));
  Parameters<float> parameters(model, 0, cuda.space());
  Adam<float> adam(parameters, {.learning_rate = 1e-3});
  cuda.share_batch(kTexts * cuda.size());
  const auto step = [&] {
    Recording ex(cuda);
    const Shape shape{kTexts * kLength};
    backward_and_sum(ex, model.loss(ex, {ids.data(), shape}, {labels.data(), shape}, {.length = kLength}).total,
                     parameters);
    adam.step(cuda, parameters);
  };
  for (int i = 0; i < 3; ++i) step();
  const CudaGraph graph = cuda.capture(step);
  report(cuda, "language model, medium", kTexts * kLength * cuda.size(), median(cuda, [&] { cuda.replay(graph); }));
}

/// A layer's forward and backward pass.
template <class Layer>
void time_layer(Many& cuda, const std::string& what, const MoeShape& s, const typename Layer::Config& config) {
  Layer layer(config);
  for (auto& [name, leaf] : detail::leaves_of<float>(layer).parameters) leaf->initializer = init::zeros();
  Parameters<float> parameters(layer, 1, cuda.space());
  fill_randomly(cuda, parameters.values(), 1, .02f);
  Storage<float> x(cuda.space()), dx(cuda.space());
  for (auto* storage : {&x, &dx}) storage->resize(s.tokens * s.width);
  const Shape shape{s.tokens, s.width};
  fill_randomly(cuda, {x.data(), shape}, 2 + static_cast<std::uint32_t>(cuda.rank()), 1);
  bool written = false;
  Tensor<float> tokens;
  tokens.data = x.data();
  tokens.shape = shape;
  tokens.gradient = dx.data();
  tokens.gradient_written = &written;
  const double time = median(cuda, [&] {
    written = false;
    parameters.zero_gradients();
    Recording ex(cuda);
    ex.backward(total(ex, column_sums(ex, layer.forward(ex, tokens).y)));
  });
  report(cuda, std::string(s.name) + ", " + what, s.tokens * cuda.size(), time);
}

template <Index M>
void expert_parallel(Many& cuda, const MoeShape& s) {
  using Whole = MoeLayer<LinearRouter, NoInhibition, SoftmaxOfTopM<M>, SwiGlu>;
  using Part = MoeLayer<LinearRouter, NoInhibition, SoftmaxOfTopM<M>, Spread<SwiGlu>>;
  if (cuda.size() == 1)
    time_layer<Whole>(cuda, "one process", s, {.width = s.width, .experts = s.experts, .hidden = {s.hidden}});
  for (const double capacity : {0.0, 1.25}) {
    typename Part::Config config{.width = s.width, .experts = s.experts, .hidden = {s.hidden}};
    config.expert.rank = cuda.rank();
    config.expert.ranks = cuda.size();
    config.expert.capacity = capacity;
    time_layer<Part>(cuda, capacity > 0 ? "spread, capacity 1.25" : "spread", s, config);
  }
}

void context_parallel(Many& cuda, Index length) {
  constexpr Index kWidth = 2048, kHeads = 16;
  const Sequences sequences = spread_sequence(cuda, length);
  nn::Attention<float> attention(kWidth, kHeads);
  Parameters<float> parameters(attention, 1, cuda.space());
  Storage<float> x(cuda.space());
  x.resize(sequences.rows() * kWidth);
  const Shape shape{sequences.rows(), kWidth};
  fill_randomly(cuda, {x.data(), shape}, 2 + static_cast<std::uint32_t>(cuda.rank()), 1);
  Tensor<float> tokens;
  tokens.data = x.data();
  tokens.shape = shape;
  const double time = median(cuda, [&] {
    parameters.zero_gradients();
    Recording ex(cuda);
    ex.backward(total(ex, column_sums(ex, attention(ex, tokens, sequences).output)));
  });
  report(cuda, "attention of " + std::to_string(length) + " tokens", length, time);
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("Steps on several GPUs");
  std::vector<std::string> only{"data", "experts", "context"};
  Index length = 131072;
  CudaOptions options{.precision = Precision::bf16};
  app.add_option("--only", only, "default: all")->delimiter(',');
  app.add_option("--length", length, "of the long text (default: 131072)");
  add_precisions(app, options);
  CLI11_PARSE(app, argc, argv);
  Rendezvous rendezvous;
  Link link(rendezvous);
  options.device = link.device();
  const auto wanted = [&](const char* name) { return std::find(only.begin(), only.end(), name) != only.end(); };
  const auto cuda = [&] { return Many(link, options); };
  if (wanted("data")) {
    Many ranks = cuda();
    data_parallel(ranks);
  }
  for (const MoeShape& s : kMoeShapes) {
    if (!wanted("experts")) break;
    Many ranks = cuda();
    if (s.chosen == 2)
      expert_parallel<2>(ranks, s);
    else
      expert_parallel<8>(ranks, s);
  }
  if (wanted("context")) {
    Many ranks = cuda();
    context_parallel(ranks, length);
  }
} catch (const neuroinhib::Error& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
