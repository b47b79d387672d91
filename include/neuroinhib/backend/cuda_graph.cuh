#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include <neuroinhib/backend/cuda_memory.cuh>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

template <class T>
class Cuda;

/// A training step, or several, captured once and launched as a whole. Made by Cuda::capture, for that backend. What it
/// uses (parameters, optimizers, memories, data) must stay where it is; a replay is refused where it has not.
class CudaGraph {
 public:
  /// Whether a step was captured.
  [[nodiscard]] explicit operator bool() const { return graph_ != nullptr; }

 private:
  template <class T>
  friend class Cuda;

  struct Destroy {
    void operator()(cudaGraphExec_t graph) const {
      const detail::DriverLock lock(detail::driver());
      (void)cudaGraphExecDestroy(graph);
    }
  };
  /// Device memory that the step uses: an address, and the allocation that it lay in.
  struct Memory {
    std::uintptr_t address;
    std::uint64_t allocation;
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
