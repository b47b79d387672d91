#pragma once

#include <thrust/system/cuda/execution_policy.h>
#include <thrust/system_error.h>

#include <neuroinhib/backend/cuda.cuh>

namespace neuroinhib {

/// Thrust's temporary memory, an allocator of `value_type` from the step's arena: stable addresses, and nothing is
/// taken from the driver. allocate(bytes) takes from the arena; deallocate() does nothing, since with_thrust gives all
/// of it back.
class StepMemory {
 public:
  using value_type = char;

  /// Over an arena that outlives it.
  explicit StepMemory(Arena<CudaMemory>& arena) : arena_(&arena) {}
  [[nodiscard]] char* allocate(std::ptrdiff_t bytes) { return arena_->allocate<char>(bytes); }
  void deallocate(char*, std::size_t) {}  // with_thrust gives all of it back

 private:
  Arena<CudaMemory>* arena_;
};

/// Calls call(policy) with Thrust's execution policy for this backend: on its stream, without waiting where the
/// algorithm returns nothing to the host, with temporary memory of the step. In a captured step it is captured; name
/// the memory that outlives the step with cuda.uses(), so that a replay is refused where it is gone. Throws CudaError.
template <class T, class Call>
void with_thrust(Cuda<T>& cuda, const Call& call) {
  const detail::DriverLock lock(detail::driver());
  const detail::DeviceScope device = cuda.enter("Thrust");
  const ArenaScope scope(cuda.device_arena());
  StepMemory memory(cuda.device_arena());
  try {
    call(thrust::cuda::par_nosync(memory).on(cuda.cuda_stream()));
  } catch (const thrust::system_error& error) {
    require_cuda(static_cast<cudaError_t>(error.code().value()), "Thrust");
    throw;
  }
}

}  // namespace neuroinhib
