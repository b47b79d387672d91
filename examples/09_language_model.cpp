// A language model whose tokens inform one another's routing: training, then going on with texts.
//
// Output:
//   step   0: 2.61 nats a word
//   step 100: 0.14 nats a word
//   step 200: 0.14 nats a word
//   step 300: 0.14 nats a word
//   5 6 → 7 8 9 10 11
//   5 7 → 9 11 1 3 5
//   1 4 7 → 10 1 4 7 10

#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

int main() {
  using Model = LanguageModel<MoeLayer<SimilarityInform<LinearRouter>, GluInhibition>>;
  Model model({.vocabulary = 12,
               .positions = 16,
               .blocks = 1,
               .block = {.width = 32, .heads = 4},
               .moe = {.width = 32, .experts = 4, .hidden = {32}, .router = {.temperature = 8}}});
  Parameters<float> parameters(model, /*seed=*/1);
  Adam<float> adam(parameters, {.learning_rate = 5e-3});
  Cpu cpu;

  // Sentences of eight words, which count on a clock of twelve hours in steps of one, two or three.
  std::vector<int> words, next;
  for (int start = 0; start < 12; ++start)
    for (int by = 1; by <= 3; ++by)
      for (int i = 0; i < 8; ++i) {
        words.push_back((start + i * by) % 12);
        next.push_back((start + (i + 1) * by) % 12);
      }

  // A sentence's step shows from its second word on: no model gets below log 3 / 8 = 0.137 nats a word.
  for (int step = 0; step <= 300; ++step) {
    Recording ex(cpu);
    const auto loss = model.loss(ex, words, next, {.length = 8});
    ex.backward(loss.total);
    adam.step(cpu, parameters);
    if (step % 100 == 0) std::printf("step %3d: %.2f nats a word\n", step, loss.mean[0]);
  }

  const std::vector<std::vector<int>> prompts{{5, 6}, {5, 7}, {1, 4, 7}};
  const auto made = generate(cpu, model, prompts, {.tokens = 5, .temperature = 0});
  for (std::size_t text = 0; text < prompts.size(); ++text) {
    for (const int word : prompts[text]) std::printf("%d ", word);
    std::printf("→");
    for (const int word : made[text]) std::printf(" %d", word);
    std::printf("\n");
  }
}
