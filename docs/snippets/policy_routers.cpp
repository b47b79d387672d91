// The examples of docs/policies on routers: the same three tokens, scored by each.

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

template <class Router, class Mix = TopM<2>>
using Layer = MoeLayer<Router, NoInhibition, Mix>;

/// Prints the scores of three tokens, the words 7, 8 and 7 of one sequence.
template <class Router, class Mix>
void print(const char* name, Layer<Router, Mix>& layer) {
  const Parameters<float> parameters(layer, /*seed=*/3);
  std::vector<float> values(3 * 4);
  for (float phase = 0; float& value : values) value = std::sin(phase += 0.7F);
  const std::vector<int> words{7, 8, 7};
  Cpu cpu;
  const auto out = layer.forward(cpu, tensor(values, {3, 4}), {}, {.sequences = {.length = 3}, .ids = words});
  std::printf("%s\n", name);
  for (Index token = 0; token < 3; ++token) {
    std::printf("  token %td:", token);
    for (Index expert = 0; expert < 4; ++expert) std::printf(" %+.2f", out.router.scores(token, expert));
    std::printf("\n");
  }
}

int main() {
  Layer<LinearRouter> linear({.width = 4, .experts = 4, .hidden = {8}, .router = {.bias = false}});
  print("LinearRouter", linear);

  Layer<TwoLayerRouter<Tanh>> two_layer({.width = 4, .experts = 4, .hidden = {8}, .router = {.hidden = 16}});
  print("TwoLayerRouter<Tanh>", two_layer);

  Layer<XMoeRouter> x_moe({.width = 4, .experts = 4, .hidden = {8}, .router = {.dimension = 3, .temperature = 0.3}});
  print("XMoeRouter", x_moe);

  Layer<RandomRouter> random({.width = 4, .experts = 4, .hidden = {8}});
  print("RandomRouter", random);

  Layer<HashRouter, TopM<1>> hash({.width = 4, .experts = 4, .hidden = {8}, .router = {.choices = 1, .seed = 5}});
  print("HashRouter", hash);

  Layer<SimilarityInform<LinearRouter>> similarity(
      {.width = 4, .experts = 4, .hidden = {8}, .router = {.temperature = 2}});
  print("SimilarityInform<LinearRouter>", similarity);

  // Attention-inform takes the trace of the attention before the layer: a transformer block hands it on.
  LanguageModel<Layer<AttentionInform<LinearRouter>>> attention(
      {.vocabulary = 9,
       .positions = 3,
       .blocks = 1,
       .block = {.width = 4, .heads = 2},
       .moe = {.width = 4, .experts = 4, .hidden = {8}, .router = {.deviation = 2}}});
  const Parameters<float> parameters(attention, /*seed=*/3);
  const std::vector<int> words{7, 8, 7};
  std::vector<MoeOutput<float>> layers;
  Cpu cpu;
  (void)attention.forward(cpu, words, {.length = 3}, {.layers = &layers});
  const auto means = analyse(cpu, inform_means(cpu, layers[0].router));
  std::printf("AttentionInform<LinearRouter>\n  %.1f tokens inform one\n", means.neighbours);
}
