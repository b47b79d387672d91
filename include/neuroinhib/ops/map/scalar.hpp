#pragma once

#include <utility>

#include <neuroinhib/ops/map/op.hpp>

/// A functor's result and its gradients for one element, for the kernels of every backend: functions of an array of
/// kInputs numbers that give kOutputs.
namespace neuroinhib::ops {

/// Whether the functor takes lanes of numbers as well as numbers.
template <class F>
constexpr bool vectorised() {
  if constexpr (requires { F::kVectorised; })
    return F::kVectorised;
  else
    return false;
}

template <class T>
NEUROINHIB_DEVICE Partials<T, 1> as_partials(const T& one) {
  return {{one}};
}
template <class T, int N>
NEUROINHIB_DEVICE Partials<T, N> as_partials(const Partials<T, N>& all) {
  return all;
}

/// f(x₀, …).
template <class F, int N>
struct MapValue {
  static constexpr int kInputs = N, kOutputs = 1;
  static constexpr bool kVectorised = vectorised<F>();
  F f;

  template <class T>
  NEUROINHIB_DEVICE Partials<T, 1> operator()(const T* x) const {
    return call(x, std::make_index_sequence<N>{});
  }

 private:
  template <class T, std::size_t... I>
  NEUROINHIB_DEVICE Partials<T, 1> call(const T* x, std::index_sequence<I...>) const {
    return {{f(x[I]...)}};
  }
};

/// dy · ∂f/∂x₀, …, from x₀, …, dy.
template <class F, int N>
struct MapGradients {
  static constexpr int kInputs = N + 1, kOutputs = N;
  static constexpr bool kVectorised = vectorised<F>();
  F f;

  template <class T>
  NEUROINHIB_DEVICE Partials<T, N> operator()(const T* x) const {
    return call(x, std::make_index_sequence<N>{});
  }

 private:
  template <class T, std::size_t... I>
  NEUROINHIB_DEVICE Partials<T, N> call(const T* x, std::index_sequence<I...>) const {
    constexpr bool kHasDerivative = requires { f.derivative(x[I]...); };
    static_assert(kHasDerivative,
                  "map: a functor that gradients pass through has derivative(x...) beside operator()(x...); "
                  "see docs/write-an-operation.md");
    if constexpr (kHasDerivative) {
      const auto all = as_partials(f.derivative(x[I]...));
      static_assert(std::extent_v<decltype(all.value)> == N,
                    "map: derivative returns one number an input: Partials{∂f/∂x₀, ∂f/∂x₁, …}");
      return {{(x[N] * static_cast<T>(all.value[I]))...}};
    } else {
      return {};
    }
  }
};

}  // namespace neuroinhib::ops
