// Telemetry: what the layers of a language model do while it is trained, in a file for neuroinhib-report.
//
// Output:
//   11 steps recorded, loss 2.68 and then 0.55 nats a word
//   "heron" goes to expert 3 and looks at "fox" with weight 0.1

#include <cstdio>
#include <string>
#include <vector>

#include <neuroinhib/io/telemetry.hpp>
#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

int main() {
  using Layer = MoeLayer<SimilarityInform<LinearRouter>, GluInhibition, TopM<2>, Mlp<Relu>, Cpu<float>, io::Telemetry>;
  const std::vector<std::string> names{"the",   "red",  "grey",  "young", "fox", "heron",
                                       "otter", "sees", "hears", "loves", ".",   "a"};
  std::vector<int> words, next;  // "the red fox sees a grey heron ." and the like
  for (int i = 0; i < 27; ++i)
    for (const int word :
         {0, 1 + i % 3, 4 + i / 3 % 3, 7 + i / 9, 11, 1 + (i + i / 9 + 1) % 3, 4 + (i / 3 + 1) % 3, 10})
      words.push_back(word);
  next.assign(words.begin() + 1, words.end()), next.push_back(words.front());

  // One step of fifty is recorded, and of it each layer's first 64 tokens.
  io::TelemetryWriter telemetry("sentences.telemetry", {.every = 50, .tokens = 64}, {{"text", "27 sentences"}});
  LanguageModel<Layer> model({.vocabulary = 12,
                              .positions = 8,
                              .blocks = 2,
                              .block = {.width = 32, .heads = 4},
                              .moe = {.width = 32,
                                      .experts = 6,
                                      .hidden = {32},
                                      .auxiliary = {.balance = .01},
                                      .router = {.temperature = .5, .compare = SimilarityOf::normalised},
                                      .telemetry = {&telemetry, "block"}}});
  Parameters<float> parameters(model, /*seed=*/1);
  Adam<float> adam(parameters, {.learning_rate = 3e-3});
  Cpu cpu;
  for (std::uint64_t number = 0; number <= 500; ++number)
    telemetry.step(number, [&] {
      Recording ex(cpu);
      const auto loss = model.loss(ex, words, next, {.length = 8});
      ex.backward(loss.total);
      adam.step(cpu, parameters);
      telemetry.measure("loss, nats a word", static_cast<double>(loss.mean[0]));
      telemetry.words(words, [&](int word) { return names[static_cast<std::size_t>(word)]; });
    });

  const io::TelemetryFile file("sentences.telemetry");
  const io::TelemetryStep& last = file.steps().back();
  std::printf("%zu steps recorded, loss %.2f and then %.2f nats a word\n", file.steps().size(),
              file.steps().front().measures[0].second, last.measures[0].second);
  const io::TelemetryLayer& layer = last.layers.back();
  std::printf("\"%s\" goes to expert %d and looks at \"%s\" with weight %.1f\n", last.words[6].c_str(),
              layer.expert[6 * 2], last.words[static_cast<std::size_t>(layer.neighbour[6 * 8 + 1])].c_str(),
              static_cast<double>(layer.weight[6 * 8 + 1]));
}
