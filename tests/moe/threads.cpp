// Many threads run inference on one model, each with a backend of its own, and get what one thread gets.

#include <thread>

#include "support.hpp"

using namespace testing;

namespace {

template <class Router, class Inhibition = NoInhibition, class Mix = TopM<2>>
using Layer = MoeLayer<Router, Inhibition, Mix, Mlp<Relu>, Cpu<float>>;

constexpr int kThreads = 4, kRounds = 5;

/// What `work(backend)` returns on one thread must come out on each of several at once.
template <class Work>
void check_threads(const Work& work) {
  Cpu<float> alone({.threads = 1});
  const auto expected = work(alone);
  std::vector<std::vector<float>> results(kThreads);
  std::vector<std::thread> threads;
  for (auto& result : results)
    threads.emplace_back([&result, &work] {
      Cpu<float> cpu({.threads = 1});
      for (int round = 0; round < kRounds; ++round) result = work(cpu);
    });
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) CHECK(result == expected);
}

/// Trains one step, so that there are post-text memories and averages, then compares threads.
template <class L>
void check_layer(const typename L::Config& config) {
  L layer(config);
  Parameters<float> parameters(layer, 5);
  Values<float> x({12, config.width}, 1);
  const auto forward = [&](auto& ex) { return layer.forward(ex, x.constant(), {}, {.sequences = {.length = 6}}).y; };
  {
    Cpu<float> cpu;
    Recording ex(cpu);
    (void)forward(ex);
  }
  check_threads([&](Cpu<float>& cpu) {
    cpu.begin_step();
    const auto y = forward(cpu);
    return std::vector<float>(y.begin(), y.end());
  });
}

}  // namespace

TEST_CASE("layers of every kind of state, from four threads") {
  check_layer<Layer<LinearRouter>>({.width = 6, .experts = 4, .hidden = {5}});
  check_layer<Layer<TwoLayerRouter<Tanh>, PosttextInhibition>>({.width = 6, .experts = 4, .hidden = {5}});
  check_layer<Layer<SimilarityInform<LinearRouter>, NoInhibition, BalancedTopM<2>>>(
      {.width = 6, .experts = 4, .hidden = {5}});
  check_layer<Layer<RandomRouter, NoInhibition, ScheduledTopM>>({.width = 6, .experts = 4, .hidden = {5}});
}

TEST_CASE("a language model's loss and its answers, from four threads") {
  using Model = LanguageModel<Layer<AttentionInform<LinearRouter>, GluInhibition>>;
  Model model({.vocabulary = 11,
               .positions = 16,
               .blocks = 2,
               .block = {.width = 8, .heads = 2},
               .moe = {.width = 8, .experts = 4, .hidden = {6}}});
  Parameters<float> parameters(model, 5);
  const std::vector<int> ids{1, 2, 3, 4, 5, 6, 7, 8}, labels{2, 3, 4, 5, 6, 7, 8, 9};
  check_threads([&](Cpu<float>& cpu) {
    cpu.begin_step();
    const auto loss = model.loss(cpu, {ids.data(), {8}}, {labels.data(), {8}}, {.length = 4});
    return std::vector<float>(loss.losses.begin(), loss.losses.end());
  });
  const std::vector<std::vector<int>> prompts{{1, 2, 3}, {4}};
  check_threads([&](Cpu<float>& cpu) {
    std::vector<float> all;
    for (const auto& text : generate(cpu, model, prompts, {.tokens = 8, .temperature = 1.5, .seed = 3}))
      all.insert(all.end(), text.begin(), text.end());
    return all;
  });
}
