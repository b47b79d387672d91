// Mutual-inform routing: a token takes over the expert probabilities of the tokens that it is like.
//
// Output:
//   temperature 0.1, probability of expert 0
//     alone    0.63 0.58 0.49 0.24 0.26 0.38
//     informed 0.63 0.63 0.54 0.24 0.24 0.35
//     weight of a token on itself 0.53: 1.8 tokens inform one
//   temperature 1.0, probability of expert 0
//     alone    0.63 0.58 0.49 0.24 0.26 0.38
//     informed 0.57 0.55 0.48 0.29 0.30 0.39
//     weight of a token on itself 0.33: 4.3 tokens inform one
//   temperature 10.0, probability of expert 0
//     alone    0.63 0.58 0.49 0.24 0.26 0.38
//     informed 0.45 0.45 0.44 0.41 0.41 0.43
//     weight of a token on itself 0.19: 6.0 tokens inform one

#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

int main() {
  // A sequence of six tokens of two kinds: (2, 0) and (0, 2), more or less.
  std::vector<float> values{2, 0, 1.8F, .3F, 1.5F, .9F, 0, 2, .2F, 1.9F, 1, 1.4F};
  const auto tokens = tensor(values, {6, 2});

  for (const double temperature : {0.1, 1.0, 10.0}) {
    MoeLayer<SimilarityInform<LinearRouter>> layer(
        {.width = 2, .experts = 2, .hidden = {8}, .router = {.temperature = temperature}});
    const Parameters<float> parameters(layer, /*seed=*/1);
    Cpu cpu;
    const auto out = layer.forward(cpu, tokens, {}, {.sequences = {.length = 6, .mask = Mask::none}});

    std::printf("temperature %.1f, probability of expert 0\n  alone   ", temperature);
    for (Index token = 0; token < 6; ++token) std::printf(" %.2f", out.router.base_scores(token, 0));
    std::printf("\n  informed");
    for (Index token = 0; token < 6; ++token) std::printf(" %.2f", out.router.scores(token, 0));
    const auto means = analyse(cpu, inform_means(cpu, out.router));
    std::printf("\n  weight of a token on itself %.2f: %.1f tokens inform one\n", means.self_weight, means.neighbours);
  }
}
