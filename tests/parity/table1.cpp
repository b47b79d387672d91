// The eight rows of Table 1, both recipes, against PyTorch: the same weights, one training step.

#include "parity/table1.hpp"

using namespace testing;

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
