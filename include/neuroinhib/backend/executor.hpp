#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include <neuroinhib/core/random.hpp>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

/// What a policy's forward runs on: a plain backend (inference) or Recording<Backend> (training). Scalar is the type of
/// its numbers. backend() is the Backend; training() tells whether dropout and random inhibition are on.
/// tensor(shape, wants_gradient) and integers(shape) give memory for one step, with no values yet. run(op) runs an
/// operation now and, where it records, keeps it for the backward pass; an operation is a struct of tensors and numbers
/// with a static `name`, which errors tell. random_stream() is the step's next random stream.
/// backend().space() is where parameters must live.
template <class Ex>
concept Executor = requires(Ex& ex, const Shape& shape) {
  typename Ex::Scalar;
  typename Ex::Backend;
  { ex.backend() } -> std::same_as<typename Ex::Backend&>;
  { ex.training() } -> std::convertible_to<bool>;
  { ex.tensor(shape, true) } -> std::same_as<Tensor<typename Ex::Scalar>>;
  { ex.integers(shape) } -> std::same_as<View<int>>;
  { ex.random_stream() } -> std::same_as<RandomStream>;
  { ex.backend().space() } -> std::same_as<const MemorySpace&>;
};

/// The type of an executor's numbers: float or double.
template <Executor Ex>
using ScalarOf = typename Ex::Scalar;

/// A tensor of an executor's numbers.
template <Executor Ex>
using TensorOf = Tensor<typename Ex::Scalar>;

/// Whether an executor keeps nothing for a backward pass, so that a result may be dropped once it has been read.
template <Executor Ex>
inline constexpr bool kInference = std::same_as<Ex, typename Ex::Backend>;

/// Throws ConfigError for a tensor that lives where the executor's backend cannot read it.
template <Executor Ex>
void require_space(Ex& ex, std::string_view where, const TensorOf<Ex>& tensor) {
  if (tensor.space == nullptr || tensor.space == &ex.backend().space()) return;
  fail<ConfigError>(where, "tensors in " + ex.backend().space().text(), tensor.space->text(),
                    "give Parameters(module, seed, backend.space()) and copy inputs with backend.write()");
}
/// Throws ConfigError for a weight that has no memory yet, or not the backend's.
template <Executor Ex>
void require_memory(Ex& ex, std::string_view where, const TensorOf<Ex>& weight) {
  if (!weight.defined())
    fail<ConfigError>(where, "a weight with memory", "a module without", "make Parameters(module, seed) first");
  require_space(ex, where, weight);
}

/// What every policy has: options with defaults.
template <class P>
concept HasConfig = std::default_initializable<typename P::Config>;

namespace detail {

/// Stands in for an executor where a policy is checked; declared only.
struct AnyExecutor {
  using Scalar = float;
  using Backend = AnyExecutor;
  AnyExecutor& backend();
  const MemorySpace& space();
  bool training();
  Tensor<float> tensor(const Shape&, bool);
  View<int> integers(const Shape&);
  RandomStream random_stream();
};

/// Tells a backend that wants to know which operation begins. What it returns lives as long as the operation runs.
template <class B>
[[nodiscard]] auto enter(B& backend, const char* operation) {
  if constexpr (requires { backend.enter(operation); })
    return backend.enter(operation);
  else
    return 0;
}

/// The backend whose kernels compute: a backend itself, or the one inside that Ranks was made of.
template <class B>
[[nodiscard]] auto& computing(B& backend) {
  if constexpr (requires { typename B::Computing; })
    return static_cast<typename B::Computing&>(backend);
  else
    return backend;
}

/// An operation's kernels are the free functions forward(backend, op) and backward(backend, op), found in the
/// operation's own namespace. Never inlined: an operation's kernels are compiled once, however many policies use it.
template <class B, class Op>
[[gnu::noinline]] void run_forward(B& backend, const Op& op) {
  [[maybe_unused]] const auto scope = enter(backend, Op::name);
  forward(backend, op);
}
template <class B, class Op>
[[gnu::noinline]] void run_backward(B& backend, const Op& op) {
  [[maybe_unused]] const auto scope = enter(backend, Op::name);
  backward(backend, op);
}

}  // namespace detail

/// The slot of a tensor whose gradient a kernel writes in part only: what it leaves out is zero, all is added.
template <class B, class T>
[[nodiscard]] GradientSlot<T> cleared_slot(B& backend, const Tensor<T>& tensor) {
  const GradientSlot<T> slot = tensor.claim_gradient();
  if (slot && !slot.add) backend.fill(slot.data, tensor.size(), T{0});
  return {slot.data, true};
}

}  // namespace neuroinhib
