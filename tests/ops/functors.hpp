#pragma once

#include <string>
#include <vector>

#include "support.hpp"

/// Functors of a user's, and one use of each that both backends must agree on.
namespace testing {

/// x σ(x), which the CPU computes in lanes.
struct UserSilu {
  static constexpr const char* name = "user's silu";
  static constexpr bool kVectorised = true;
  template <class T>
  NEUROINHIB_DEVICE T operator()(T x) const {
    return x / (1 + math::exp(-x));
  }
  template <class T>
  NEUROINHIB_DEVICE T derivative(T x) const {
    const T s = math::sigmoid(x);
    return s * (1 + x * (1 - s));
  }
};

/// A functor with a number of its own and a branch.
struct UserLeakyRelu {
  float slope = .1f;
  template <class T>
  NEUROINHIB_DEVICE T operator()(T x) const {
    return x > 0 ? x : static_cast<T>(slope) * x;
  }
  template <class T>
  NEUROINHIB_DEVICE T derivative(T x) const {
    return x > 0 ? T{1} : static_cast<T>(slope);
  }
};

struct Exponential {
  static constexpr bool kVectorised = true;
  template <class T>
  NEUROINHIB_DEVICE T operator()(T x) const {
    return math::exp(x);
  }
  template <class T>
  NEUROINHIB_DEVICE T derivative(T x) const {
    return (*this)(x);
  }
};

/// Every function that lanes have.
struct AllMath {
  static constexpr bool kVectorised = true;
  template <class T>
  NEUROINHIB_DEVICE T operator()(T x) const {
    return math::log(1 + math::abs(x)) + math::sqrt(2 + math::tanh(x)) - math::sigmoid(x) + math::exp(-x * x);
  }
  template <class T>
  NEUROINHIB_DEVICE T derivative(T x) const {
    const T t = math::tanh(x), s = math::sigmoid(x);
    return x / math::abs(x) / (1 + math::abs(x)) + (1 - t * t) / (2 * math::sqrt(2 + t)) - s * (1 - s) -
           2 * x * math::exp(-x * x);
  }
};

/// (a + b²) c.
struct Mixed {
  static constexpr const char* name = "mixed";
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b, T c) const {
    return (a + b * b) * c;
  }
  template <class T>
  NEUROINHIB_DEVICE auto derivative(T a, T b, T c) const {
    return Partials{c, 2 * b * c, a + b * b};
  }
};

/// √(a² + b²), associative and commutative: the norm of a row or column.
struct Hypotenuse {
  static constexpr const char* name = "norm";
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    return std::sqrt(a * a + b * b);
  }
  template <class T>
  NEUROINHIB_DEVICE T derivative(T x, T y) const {
    return x / y;
  }
};

/// Calls visit(name, shapes, f) for each case: f(executor, tensors) → Tensor. "positive": for inputs above zero.
template <class Visit>
void for_each_functor(const Visit& visit) {
  const auto mixed = [](auto& ex, const auto& in) { return map(ex, Mixed{}, in[0], in[1], in[2]); };
  visit("one input", {{7, 5}}, [](auto& ex, const auto& in) { return map(ex, UserSilu{}, in[0]); });
  visit("one input, every function", {{7, 5}}, [](auto& ex, const auto& in) { return map(ex, AllMath{}, in[0]); });
  visit("one input with a branch", {{7, 5}},
        [](auto& ex, const auto& in) { return map(ex, UserLeakyRelu{.25f}, in[0]); });
  visit("three inputs", {{5, 7}, {5, 7}, {5, 7}}, mixed);
  visit("row and column", {{5, 7}, {1, 7}, {5, 1}}, mixed);
  visit("number and row", {{5, 7}, {1}, {1, 7}}, mixed);
  visit("row, column and number", {{1, 7}, {5, 1}, {1, 1}}, mixed);
  visit("long rows", {{3, 700}, {1, 700}, {3, 1}}, mixed);
  visit("many rows", {{1100, 3}, {1, 3}, {1100, 1}}, mixed);
  visit("one input twice", {{4, 5}}, [](auto& ex, const auto& in) { return multiply(ex, in[0], in[0]); });
  visit("one row twice", {{4, 5}, {1, 5}},
        [](auto& ex, const auto& in) { return map(ex, Mixed{}, in[0], in[1], in[1]); });
  visit("arithmetic, positive", {{4, 5}, {1, 5}, {4, 1}}, [](auto& ex, const auto& in) {
    return divide(ex, subtract(ex, in[0], in[2]), add(ex, in[1], multiply(ex, in[2], in[0])));
  });
  for (const Shape& shape : {Shape{4, 6}, Shape{600, 3}, Shape{2, 500}}) {
    visit("sums " + shape.text(), {shape},
          [](auto& ex, const auto& in) { return multiply(ex, row_sums(ex, in[0]), column_means(ex, in[0])); });
    visit("norms " + shape.text(), {shape}, [](auto& ex, const auto& in) {
      return multiply(ex, reduce_rows(ex, Hypotenuse{}, in[0]), reduce_columns(ex, Hypotenuse{}, in[0]));
    });
    visit("maxima " + shape.text(), {shape},
          [](auto& ex, const auto& in) { return multiply(ex, row_maxima(ex, in[0]), column_maxima(ex, in[0])); });
  }
  visit("softmax from map and reduce", {{6, 9}}, [](auto& ex, const auto& in) {
    const auto e = map(ex, Exponential{}, subtract(ex, in[0], row_maxima(ex, in[0])));
    return divide(ex, e, row_sums(ex, e));
  });
}

}  // namespace testing
