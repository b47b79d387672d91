#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include <neuroinhib/backend/cuda_memory.cuh>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

template <class T>
class Cuda;
namespace detail {
class CudaCapture;
}

/// A training step, or several, captured once and launched as a whole. Made by Cuda::capture, for that backend. What it
/// uses (parameters, optimizers, memories, data) must stay where it is; a replay is refused where it has not.
class CudaGraph {
 public:
  /// Whether a step was captured.
  [[nodiscard]] explicit operator bool() const { return graph_ != nullptr; }

 private:
  template <class T>
  friend class Cuda;
  friend class detail::CudaCapture;

  struct Destroy {
    void operator()(cudaGraphExec_t graph) const {
      const detail::DriverLock lock(detail::driver());
      (void)cudaGraphExecDestroy(graph);
    }
  };
  /// Device memory that the step uses: an address, the allocation that it lay in, and the first operation that used it.
  struct Memory {
    const void* address;
    std::uint64_t allocation;
    const char* operation;
  };
  /// A buffer that steps leave to each other has the shape that it had.
  struct Kept {
    const Shape* now;
    Shape then;
  };
  /// A gradient's flag, as the step finds it and as it leaves it.
  struct Flag {
    bool* flag;
    bool before, after;
  };

  /// Throws ConfigError unless a replay does to all it uses what the captured step would do now.
  void require_as_captured(const void* backend) const {
    if (backend_ != backend)
      fail<ConfigError>("replay", "a graph that this backend captured", graph_ ? "another backend's" : "an empty one",
                        "capture the step on the backend that replays it");
    auto& allocations = detail::DeviceAllocations::all();
    for (const Memory& memory : memory_)
      if (allocations.number_at(memory.address) != memory.allocation)
        fail<ConfigError>("replay", "the memory that the captured step uses",
                          std::string("some that was freed or has moved since ") + memory.operation + " used it",
                          "keep parameters, data and batch size as they were, or capture again");
    for (const Kept& kept : kept_)
      if (*kept.now != kept.then)
        fail<ConfigError>("replay", "a post-text memory of shape " + kept.then.text() + ", as it was captured",
                          kept.now->text(), "run one step of the captured batch size first");
    for (const Flag& flag : flags_)
      if (*flag.flag != flag.before)
        fail<ConfigError>("replay", "gradients as the captured step found them",
                          *flag.flag ? "some that wait for an update" : "none to add to",
                          "end the step before with the optimizer's step(), or call zero_gradients()");
  }
  /// What a replay leaves on the host: gradients' flags, and copies in bf16 that are out of date, which are those of
  /// all that it may have written to but does not keep current.
  void leave() const {
    for (const Flag& flag : flags_) *flag.flag = flag.after;
    for (const Memory& memory : memory_)
      if (std::find(current_.begin(), current_.end(), memory.allocation) == current_.end())
        detail::DeviceAllocations::all().changed(memory.address);
  }

  std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, Destroy> graph_;
  const void* backend_ = nullptr;
  std::uint64_t steps_ = 0;
  std::vector<Memory> memory_;
  std::vector<const float*> halves_;    ///< parameters whose copies in bf16 must be current where it begins
  std::vector<std::uint64_t> current_;  ///< allocations whose copies it leaves current if they were
  std::vector<Kept> kept_;
  std::vector<Flag> flags_;
};

}  // namespace neuroinhib
