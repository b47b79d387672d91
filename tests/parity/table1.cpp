// The rows of Table 1, both recipes, and the research code's Global: against PyTorch or numpy, with the same weights
// and one training step, and against themselves on other numbers of threads.

#include "parity/table1.hpp"

using namespace testing;

namespace {

/// A row's parameters and states after three training steps.
template <class Recipe>
std::vector<std::vector<float>> trained(std::string_view row, int threads) {
  constexpr Index kBatch = 21;
  Cpu<float> cpu({.threads = threads, .seed = 3, .min_work = 1});
  std::vector<std::vector<float>> all;
  with_network<Recipe, float>(row, kSizes, [&](auto& network) {
    Parameters<float> parameters(network, 4);
    Adam<float> adam(parameters, {.learning_rate = 1e-2});
    for (std::uint64_t step = 0; step < 3; ++step) {
      Recording ex(cpu);
      Values<float> images({kBatch, kSizes.image, kSizes.image, 1}, step);
      const View<int> labels = ex.integers({kBatch});
      for (Index i = 0; i < kBatch; ++i) labels[i] = static_cast<int>(i % kClasses);
      ex.backward(network.loss(ex, network.logits(ex, images.constant()), labels));
      adam.step(cpu, parameters);
    }
    for (const auto& entry : parameters.entries()) all.push_back(parameters.values_of(entry));
    for (const auto& state : parameters.states()) all.push_back(state.values.to_host());
  });
  return all;
}

}  // namespace

TEST_CASE_TEMPLATE("every row of Table 1 equals PyTorch, or numpy", Recipe, PaperRecipe, CleanRecipe) {
  Cpu<double> exact({.threads = 2});
  Cpu<float> cpu({.threads = 2});
  for (const Row& row : kTable1) {
    SUBCASE(row.name.data()) {
      check_row<Recipe>(row.name, exact, 1e-9);
      check_row<Recipe>(row.name, cpu, 1e-4);
    }
  }
}

TEST_CASE("the research code's Global equals numpy") {
  Cpu<double> exact({.threads = 2});
  Cpu<float> cpu({.threads = 2});
  check_research_global(exact, 1e-9);
  check_research_global(cpu, 1e-4);
}

TEST_CASE("the research code's Global acts from step 3,000 on by the batch before, also in evaluations") {
  constexpr Index kBatch = 5;
  using Network = ResearchGlobalNetwork<float>;
  Cpu<float> cpu({.threads = 1});
  Network network(kSizes);
  const Parameters<float> parameters(network, 4);
  const auto batch = [&](std::uint64_t number) {
    return Values<float>({kBatch, kSizes.image, kSizes.image, 1}, number);
  };
  Values<float> first = batch(1), second = batch(2), third = batch(3);
  std::vector<int> labels{0, 1, 2, 3, 4};
  /// The logits of a training step on images; the memory is what it and those before leave.
  const auto train = [&](Values<float>& images) {
    Recording ex(cpu);
    const auto logits = network.logits(ex, images.constant());
    (void)network.loss(ex, logits, View<int>(labels));
    return cpu.read(View<float>(logits));
  };
  (void)train(first);
  const auto before = train(second);
  (void)train(third);
  CHECK(train(second) == before);  // not yet: another batch before changes nothing
  CHECK(*network.steps.data() == 4);
  /// A step in which post-text acts, on what one in which it does not left.
  const auto after = [&](Values<float>& images) {
    *network.steps.data() = 0;
    (void)train(images);
    *network.steps.data() = Network::kStart;
    return train(second);
  };
  const auto after_first = after(first);
  CHECK(after_first != before);
  CHECK(after(third) != after_first);
  CHECK(after(first) == after_first);
  cpu.begin_step();
  const auto conditioned = network.conditioned_logits(cpu, second.constant(), first.constant(), View<int>(labels));
  CHECK(cpu.read(View<float>(conditioned)) == after_first);  // as an evaluation sees it
}

TEST_CASE_TEMPLATE("training steps of Table 1 have the same bits on 1, 2, 3 and 7 threads", Recipe, PaperRecipe,
                   CleanRecipe) {
  for (const Row& row : kTable1) {
    CAPTURE(row.name);
    const auto expected = trained<Recipe>(row.name, 1);
    for (const int threads : {2, 3, 7})
      CHECK_MESSAGE(trained<Recipe>(row.name, threads) == expected, threads, " threads");
  }
}
