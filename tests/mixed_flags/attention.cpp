// As layer.cpp, for attention.

#include "plain.hpp"

double UNIT();

double UNIT() {
  std::vector<float> q = random_values(kTokens * kWidth, 1), k = random_values(kTokens * kWidth, 2),
                     v = random_values(kTokens * kWidth, 3);
  const Shape shape{kTokens, kWidth};
  Matrix of_q(tensor(q, shape)), of_k(tensor(k, shape)), of_v(tensor(v, shape)), expected(kTokens, kWidth);
  for (Index i = 0; i < kTokens; ++i) {
    double sum = 0;
    for (Index j = 0; j <= i; ++j) {
      double logit = 0;
      for (Index c = 0; c < kWidth; ++c) logit += of_q(i, c) * of_k(j, c);
      const double weight = std::exp(logit / std::sqrt(static_cast<double>(kWidth)));
      sum += weight;
      for (Index c = 0; c < kWidth; ++c) expected(i, c) += weight * of_v(j, c);
    }
    for (Index c = 0; c < kWidth; ++c) expected(i, c) /= sum;
  }
  Cpu<float> cpu({.threads = 2});
  using C = Columns<float>;
  const auto attended =
      attention(cpu, C(tensor(q, shape)), C(tensor(k, shape)), C(tensor(v, shape)), Sequences{.length = kTokens});
  return distance(attended.y.data, expected.values);
}
