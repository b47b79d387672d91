#pragma once

#include <concepts>

#include <neuroinhib/core/random.hpp>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

/// What a policy's forward runs on: a plain backend (inference) or Recording<Backend> (training).
/// `tensor` gives memory for one step, `integers` likewise; `run` runs an operation now and, where it records, keeps it
/// for the backward pass; `stream` names the next random stream of the step.
template <class Ex>
concept Executor = requires(Ex& ex, const Shape& shape) {
  typename Ex::Scalar;
  typename Ex::Backend;
  { ex.backend() } -> std::same_as<typename Ex::Backend&>;
  { ex.training() } -> std::convertible_to<bool>;
  { ex.tensor(shape, true) } -> std::same_as<Tensor<typename Ex::Scalar>>;
  { ex.integers(shape) } -> std::same_as<View<int>>;
  { ex.stream() } -> std::same_as<RandomStream>;
};

template <Executor Ex>
using ScalarOf = typename Ex::Scalar;

template <Executor Ex>
using TensorOf = Tensor<typename Ex::Scalar>;

/// What every policy has: options with defaults.
template <class P>
concept HasConfig = std::default_initializable<typename P::Config>;

namespace detail {

/// Stands in for an executor where a policy is checked; declared only.
struct AnyExecutor {
  using Scalar = float;
  using Backend = AnyExecutor;
  AnyExecutor& backend();
  bool training();
  Tensor<float> tensor(const Shape&, bool);
  View<int> integers(const Shape&);
  RandomStream stream();
};

/// An operation's kernels are the free functions forward(backend, op) and backward(backend, op), found in the
/// operation's own namespace. Never inlined: an operation's kernels are compiled once, however many policies use it.
template <class B, class Op>
[[gnu::noinline]] void run_forward(B& backend, const Op& op) {
  if constexpr (requires { backend.enter(Op::name); }) backend.enter(Op::name);
  forward(backend, op);
}
template <class B, class Op>
[[gnu::noinline]] void run_backward(B& backend, const Op& op) {
  if constexpr (requires { backend.enter(Op::name); }) backend.enter(Op::name);
  backward(backend, op);
}

}  // namespace detail
}  // namespace neuroinhib
