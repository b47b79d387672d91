// A causal language model whose tokens inform one another's routing: training, then going on with a text.
//
//   step   0: 2.614 nats a word, a word's weight on itself 0.23
//   …
//   step 300: 0.138 nats a word, a word's weight on itself 0.94
//   5 7 → 9 11 1 3 5 7

#include <cstdio>

#include "counting.hpp"

using namespace counting;

int main() {
  Model model(kConfig);
  Parameters<float> parameters(model, /*seed=*/1);
  Adam<float> adam(parameters, {.learning_rate = 5e-3});
  Cpu cpu;

  // Which step a sentence counts in shows from its second word on only: the least possible loss is log 3 / 8 = 0.137.
  const Sentences sentences;
  std::vector<Model::LayerOutput> layers;
  for (int step = 0; step <= 300; ++step) {
    Recording ex(cpu);
    const auto loss = model.loss(ex, sentences.ids(), sentences.labels(), {.length = 8}, &layers);
    ex.backward(loss.total);
    adam.step(cpu, parameters);
    if (step % 100 == 0)
      std::printf("step %3d: %.3f nats a word, a word's weight on itself %.2f\n", step, loss.mean[0],
                  layers[0].router.self_weight[7]);
  }

  const auto made = generate(cpu, model, {{5, 7}}, {.tokens = 6, .temperature = 0});
  std::printf("5 7 →");
  for (const int word : made[0]) std::printf(" %d", word);
  std::printf("\n");
}
