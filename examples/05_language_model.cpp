// A causal language model whose tokens inform one another's routing: training, then decoding from a cache.
#include <algorithm>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

int main() {
  // Each token's expert probabilities are a mean of those of the tokens before it, weighted by likeness.
  using Layer = MoeLayer<SimilarityInform<LinearRouter>, GluInhibition, TopM<2>, Mlp<Relu>>;
  LanguageModel<Layer> model({.vocabulary = 12,
                              .positions = 16,
                              .blocks = 1,
                              .block = {.width = 32, .heads = 4},
                              .moe = {.width = 32, .experts = 4, .hidden = {32}, .router = {.temperature = 8}}});
  Parameters<float> parameters(model, /*seed=*/1);
  Adam<float> adam(parameters, {.learning_rate = 5e-3});
  Cpu cpu;

  // From every word on, counting in steps of one, two and three: which of them shows from the second word on only, so
  // that the least possible loss is log 3 / 8 = 0.137.
  std::vector<int> ids, labels;
  for (int start = 0; start < 12; ++start)
    for (int by = 1; by <= 3; ++by)
      for (int i = 0; i < 8; ++i) {
        ids.push_back((start + i * by) % 12);
        labels.push_back((start + (i + 1) * by) % 12);
      }
  const Shape shape{static_cast<Index>(ids.size())};
  std::vector<decltype(model)::LayerOutput> layers;
  for (int step = 0; step <= 300; ++step) {
    Recording ex(cpu);
    const auto loss = model.loss(ex, {ids.data(), shape}, {labels.data(), shape}, {.length = 8}, &layers);
    ex.backward(loss.total);
    adam.step(cpu, parameters);
    if (step % 100 == 0)
      std::printf("step %3d: %.3f nats a word, a word's weight on itself %.2f\n", step, loss.mean[0],
                  layers[0].router.self[7]);
  }

  auto cache = model.make_cache(/*sequences=*/1, /*tokens=*/16, Cpu<>::space());
  std::vector<int> text{5, 7};
  for (std::vector<int> next = text; text.size() < 8; next = {text.back()}) {
    cpu.begin_step();
    const auto scores = model.decode(cpu, {next.data(), {static_cast<Index>(next.size())}}, cache);
    const float* last = scores.data + (scores.rows() - 1) * 12;
    text.push_back(static_cast<int>(std::max_element(last, last + 12) - last));
  }
  for (const int word : text) std::printf("%d ", word);
  std::printf("\n");
}
