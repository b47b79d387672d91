// The eight rows of Table 1, both recipes: against PyTorch, with the same weights and one training step, and against
// themselves on other numbers of threads.

#include "parity/table1.hpp"

using namespace testing;

namespace {

/// A row's parameters and states after three training steps.
template <class Recipe>
std::vector<std::vector<float>> trained(std::string_view row, int threads) {
  constexpr Index kBatch = 21;
  Cpu<float> cpu({.threads = threads, .seed = 3, .least_work = 1});
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

TEST_CASE_TEMPLATE("every row of Table 1 equals PyTorch", Recipe, PaperRecipe, CleanRecipe) {
  Cpu<double> exact({.threads = 2});
  Cpu<float> cpu({.threads = 2});
  for (const Row& row : kRows) {
    SUBCASE(row.name.data()) {
      check_row<Recipe>(row.name, exact, 1e-9);
      check_row<Recipe>(row.name, cpu, 1e-4);
    }
  }
}

TEST_CASE_TEMPLATE("training steps of Table 1 have the same bits on 1, 2, 3 and 7 threads", Recipe, PaperRecipe,
                   CleanRecipe) {
  for (const Row& row : kRows) {
    CAPTURE(row.name);
    const auto expected = trained<Recipe>(row.name, 1);
    for (const int threads : {2, 3, 7})
      CHECK_MESSAGE(trained<Recipe>(row.name, threads) == expected, threads, " threads");
  }
}
