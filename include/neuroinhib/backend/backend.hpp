#pragma once

#include <concepts>
#include <string>
#include <vector>

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/core/arena.hpp>
#include <neuroinhib/core/random.hpp>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

/// What computes: an executor of its own steps, for inference, with memory of the step that kernels may use (`fill`
/// sets `count` numbers of it) and copies from and to the host, which wait for the device where there is one. Cpu and
/// Cuda are backends; docs/write-a-backend.md says what each member is for.
template <class B>
concept Backend = Executor<B> && std::derived_from<B, typename B::Backend> &&
                  requires(B& backend, typename B::Scalar* numbers, const typename B::Scalar* host, Index count,
                           const View<typename B::Scalar>& view) {
                    backend.begin_step();
                    backend.begin_training_step();
                    backend.scope();
                    backend.fill(numbers, count, *host);
                    backend.write(view, host);
                    { backend.read(view) } -> std::same_as<std::vector<typename B::Scalar>>;
                    { backend.value(host) } -> std::same_as<typename B::Scalar>;
                    { backend.arena() } -> std::same_as<Arena<HostMemory>&>;
                    { backend.template kernel_memory<int>(count) } -> std::same_as<int*>;
                    { backend.random() } -> std::same_as<RandomState&>;
                    { backend.describe() } -> std::same_as<std::string>;
                  };

namespace detail {

/// Asked by what takes a backend as a template parameter: true, or an error that says in a sentence what a backend has.
/// The compiler then names the member that is missing.
template <class B>
[[nodiscard]] constexpr bool is_backend() {
  static_assert(
      Backend<B>,
      "a backend is an executor with begin_step, begin_training_step, scope, fill, write, read, value, arena, "
      "kernel_memory, random and describe; see docs/write-a-backend.md");
  return true;
}

}  // namespace detail
}  // namespace neuroinhib
