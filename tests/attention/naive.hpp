#pragma once

#include <cmath>
#include <vector>

#include "support.hpp"

/// Attention and mutual-inform routing as the papers write them, with whole N × N matrices, in double: what the
/// flash kernels are compared with.
namespace testing {

using Matrix = std::vector<std::vector<double>>;

template <class T>
Matrix matrix_of(const Tensor<T>& tensor, Index first = 0, Index width = 0) {
  Matrix m(static_cast<std::size_t>(tensor.rows()));
  for (Index i = 0; i < tensor.rows(); ++i)
    for (Index c = 0; c < (width > 0 ? width : tensor.cols()); ++c)
      m[static_cast<std::size_t>(i)].push_back(static_cast<double>(tensor(i, first + c)));
  return m;
}

inline double inner(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t c = 0; c < a.size(); ++c) sum += a[c] * b[c];
  return sum;
}

inline double entropy_of(const std::vector<double>& p) {
  double sum = 0;
  for (const double value : p) sum -= value > 0 ? value * std::log(value) : 0;
  return sum;
}

/// Whether row i sees row j, from the definition alone.
inline bool sees(const Sequences& s, Index i, Index j) {
  if (i == j) return true;
  if (i / s.length != j / s.length) return false;
  if (s.mask == Mask::causal && j > i) return false;
  return s.document.data == nullptr || (s.document[i] == s.document[j] && s.document[i] >= 0);
}

/// Row-wise softmax of `logit(i, j)` over the rows that i sees.
template <class Logit>
Matrix weights_of(const Sequences& s, Index rows, const Logit& logit) {
  Matrix weights(static_cast<std::size_t>(rows), std::vector<double>(static_cast<std::size_t>(rows), 0));
  for (Index i = 0; i < rows; ++i) {
    auto& row = weights[static_cast<std::size_t>(i)];
    double largest = -INFINITY, sum = 0;
    for (Index j = 0; j < rows; ++j)
      if (sees(s, i, j)) largest = std::max(largest, logit(i, j));
    for (Index j = 0; j < rows; ++j)
      if (sees(s, i, j)) sum += row[static_cast<std::size_t>(j)] = std::exp(logit(i, j) - largest);
    for (double& weight : row) weight /= sum;
  }
  return weights;
}

/// The score by distance of head h's pair (i, j), as attention()'s `relative` [rows, heads · span] has it; −∞ where i
/// does not see j. Without a span, 0.
template <class T>
double relative_score(const Tensor<T>& relative, Index span, Index h, Index length, Index i, Index j) {
  if (span == 0 || (i == j && i % length == 0)) return 0;
  return j < i && i - j <= span ? static_cast<double>(relative(i, h * span + i - j - 1)) : -INFINITY;
}

inline Matrix times(const Matrix& weights, const Matrix& values) {
  Matrix result;
  for (const auto& row : weights) {
    auto& out = result.emplace_back(values[0].size(), 0);
    for (std::size_t j = 0; j < row.size(); ++j)
      for (std::size_t c = 0; c < out.size(); ++c) out[c] += row[j] * values[j][c];
  }
  return result;
}

/// Largest |difference| over the largest |expected|.
template <class T>
double distance(const Tensor<T>& actual, const Matrix& expected, Index first = 0) {
  double difference = 0, size = 1e-30;
  for (std::size_t i = 0; i < expected.size(); ++i)
    for (std::size_t c = 0; c < expected[i].size(); ++c) {
      const double value = actual(static_cast<Index>(i), first + static_cast<Index>(c));
      if (!std::isfinite(value)) return INFINITY;
      difference = std::max(difference, std::abs(value - expected[i][c]));
      size = std::max(size, std::abs(expected[i][c]));
    }
  return difference / size;
}

}  // namespace testing
