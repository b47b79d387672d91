#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include <neuroinhib/core/error.hpp>
#include <neuroinhib/core/tensor.hpp>

/// What host and kernels tell each other through device memory.
namespace neuroinhib {

/// What kernels read that changes from step to step, in device memory: a captured step finds the new values there.
struct CudaControl {
  std::uint64_t step;      ///< RandomState::step
  double learning_factor;  ///< on the optimizer's learning rate
  int fault;               ///< a CudaFault that a kernel met, or 0
  int value;               ///< what it met
  int at;                  ///< in which row
};

/// What a kernel cannot throw, kept until the host looks.
enum class CudaFault : int { none = 0, label_out_of_range, id_out_of_range, image_out_of_range, gradient_not_finite };

/// Notes a fault for Cuda::check(): what a kernel met, and where.
__device__ inline void note_fault(CudaControl* control, CudaFault fault, Index value, Index at) {
  control->fault = static_cast<int>(fault);
  control->value = static_cast<int>(value);
  control->at = static_cast<int>(at);
}

/// Throws what a kernel met: ConfigError or NumericError.
inline void require_no_fault(const CudaControl& control) {
  const std::string value = std::to_string(control.value), row = " in row " + std::to_string(control.at);
  switch (static_cast<CudaFault>(control.fault)) {
    case CudaFault::none: return;
    case CudaFault::label_out_of_range:
      fail<ConfigError>("cross-entropy", "labels from 0 to the number of classes − 1", value + row,
                        "mend the label, or give the model more classes");
    case CudaFault::id_out_of_range:
      fail<ConfigError>("embedding", "ids from 0 to the number of words − 1", value + row,
                        "read the text with the model's vocabulary");
    case CudaFault::image_out_of_range:
      fail<ConfigError>("image set", "numbers from 0 to the number of images − 1", value + row,
                        "take numbers of this set, as CudaOrder does");
    case CudaFault::gradient_not_finite:
      fail<NumericError>("gradient clipping", "finite gradients", control.value == 1 ? "norm nan" : "norm inf",
                         "call ex.require_finite(loss, where) before backward(): it names the operation; or lower "
                         "the learning rate");
  }
}

namespace detail {

/// Lets the next kernel come onto the device.
__device__ inline void pdl_launch_next() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
/// Waits until the kernel before has ended and its results are there.
__device__ inline void pdl_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// The first statement of every kernel that Cuda::launch_pdl starts, unless it first does what needs no results.
__device__ inline void pdl_begin() {
  pdl_launch_next();
  pdl_wait();
}

template <int = 0>
__global__ void set_control(CudaControl* control, std::uint64_t step, double learning_factor) {
  pdl_begin();
  control->step = step;
  control->learning_factor = learning_factor;
}
template <int = 0>
__global__ void next_step(CudaControl* control) {
  pdl_begin();
  ++control->step;
}

}  // namespace detail
}  // namespace neuroinhib
