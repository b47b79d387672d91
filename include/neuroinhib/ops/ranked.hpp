#pragma once

#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib::ops {

/// The order of choices: 1 where a comes before b, −1 where it comes after, 0 for equals. Larger numbers come first,
/// and NaN before all numbers, so that it shows.
template <class T>
NEUROINHIB_DEVICE [[nodiscard]] int order_of(T a, T b) {
  const bool a_is_nan = a != a, b_is_nan = b != b;  // NOLINT(misc-redundant-expression)
  if (a_is_nan || b_is_nan) return static_cast<int>(a_is_nan) - static_cast<int>(b_is_nan);
  return static_cast<int>(a > b) - static_cast<int>(a < b);
}

/// A candidate among numbered ones: ranked by its score, equals by `tie`, then by the lowest number.
template <class T>
struct Ranked {
  T score, tie;
  int number;

  NEUROINHIB_DEVICE Ranked(T first, T second, int candidate) : score(first), tie(second), number(candidate) {}
  NEUROINHIB_DEVICE Ranked(T only, Index candidate) : Ranked(only, only, static_cast<int>(candidate)) {}

  NEUROINHIB_DEVICE [[nodiscard]] bool before(const Ranked& other) const {
    const int by_score = order_of(score, other.score);
    if (by_score != 0) return by_score > 0;
    const int by_tie = order_of(tie, other.tie);
    return by_tie != 0 ? by_tie > 0 : number < other.number;
  }
};

}  // namespace neuroinhib::ops
