#pragma once

// What the units share, each with a copy of its own: numbers, and matrices of them in double.

#include <neuroinhib/neuroinhib.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

using namespace neuroinhib;
using Numbers = std::vector<double>;

constexpr Index kTokens = 37, kWidth = 40;

inline std::vector<float> random_values(Index count, std::uint64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<float>(static_cast<double>(seed >> 40) / (1 << 23) - 1);
  }
  return values;
}

inline double distance(const float* a, const Numbers& b) {
  double largest = 0;
  for (std::size_t i = 0; i < b.size(); ++i) largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  return std::isfinite(largest) ? largest : 1e9;
}

/// A matrix of numbers, row by row.
struct Matrix {
  Numbers values;
  Index cols;
  Matrix(Index rows, Index columns) : values(static_cast<std::size_t>(rows * columns)), cols(columns) {}
  explicit Matrix(const Tensor<float>& tensor) : values(tensor.begin(), tensor.end()), cols(tensor.cols()) {}
  double& operator()(Index row, Index column) { return values[static_cast<std::size_t>(row * cols + column)]; }
};

}  // namespace
