// The rows of Table 1, both recipes, and the research code's Global, on the GPU against PyTorch or numpy: the same
// weights, one training step.

#include "kernels/cuda.cuh"

#include "parity/table1.hpp"

using namespace testing;

TEST_CASE_TEMPLATE("every row of Table 1 equals PyTorch on the GPU", Recipe, PaperRecipe, CleanRecipe) {
  Cuda<double> exact;
  Cuda<float> strict({.precision = Precision::strict});
  for (const Row& row : kTable1) {
    check_row<Recipe>(row.name, exact, 1e-9);
    check_row<Recipe>(row.name, strict, 1e-4);
  }
}

TEST_CASE("the research code's Global equals numpy on the GPU") {
  Cuda<double> exact;
  Cuda<float> strict({.precision = Precision::strict});
  check_research_global(exact, 1e-9);
  check_research_global(strict, 1e-4);
}
