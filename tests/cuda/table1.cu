// The eight rows of Table 1, both recipes, on the GPU against PyTorch: the same weights, one training step.

#include "kernels/cuda.cuh"

#include "parity/table1.hpp"

using namespace testing;

TEST_CASE_TEMPLATE("every row of Table 1 equals PyTorch on the GPU", Recipe, PaperRecipe, CleanRecipe) {
  Cuda<double> exact;
  Cuda<float> strict({.precision = Precision::strict});
  for (const Row& row : kRows) {
    check_row<Recipe>(row.name, exact, 1e-9);
    check_row<Recipe>(row.name, strict, 1e-4);
  }
}
