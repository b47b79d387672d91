#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <string>
#include <string_view>

#include <neuroinhib/core/error.hpp>
#include <neuroinhib/core/memory.hpp>

/// Errors of CUDA, and memory of a device.
namespace neuroinhib {

/// The GPU, its driver or a library on it refused.
class CudaError : public Error {
  using Error::Error;
};

/// Throws CudaError, naming the operation under way, where a call of the CUDA runtime failed.
inline void require_cuda(cudaError_t status, std::string_view where) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // so that the next call does not report it again
  const char* remedy = status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver
                           ? "use the CPU backend, or install a GPU and its driver"
                       : status == cudaErrorNoKernelImageForDevice
                           ? "compile for this GPU's architecture (nvcc -arch=native)"
                           : "run under compute-sanitizer to find the cause";
  fail<CudaError>(where, "success", std::string(cudaGetErrorName(status)) + ", " + cudaGetErrorString(status), remedy);
}
inline void require_cuda(cublasStatus_t status, std::string_view where) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail<CudaError>(where, "success", cublasGetStatusString(status), "check the shapes and the free memory");
}

namespace detail {

/// Held by whoever calls the driver, and during a whole capture: what other threads load or free meanwhile would break
/// the capture. Replays need it not.
inline std::recursive_mutex& driver() {
  static std::recursive_mutex mutex;
  return mutex;
}
using DriverLock = std::lock_guard<std::recursive_mutex>;

}  // namespace detail

/// Memory of the current device.
struct CudaMemory {
  static constexpr const char* kName = "CUDA memory";
  static constexpr std::size_t kAlignment = 256;

  /// No limit of ours: allocate() tells how much is free.
  static std::size_t total() { return std::numeric_limits<std::size_t>::max(); }
  /// Throws CudaError with the bytes asked for and those that are free.
  static void* allocate(std::size_t bytes) {
    const detail::DriverLock lock(detail::driver());
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
    if (status == cudaErrorMemoryAllocation) {
      std::size_t available = 0, total = 0;
      (void)cudaGetLastError();
      (void)cudaMemGetInfo(&available, &total);
      fail<CudaError>("CUDA memory", std::to_string(bytes >> 20) + " MiB",
                      std::to_string(available >> 20) + " MiB free of " + std::to_string(total >> 20),
                      "use a smaller batch or model");
    }
    require_cuda(status, "CUDA memory");
    return memory;
  }
  static void release(void* memory) noexcept {
    const detail::DriverLock lock(detail::driver());
    (void)cudaFree(memory);
  }
  static void clear(void* target, std::size_t bytes) {
    const detail::DriverLock lock(detail::driver());
    require_cuda(cudaDeviceSynchronize(), "CUDA memory");
    require_cuda(cudaMemset(target, 0, bytes), "CUDA memory");
    require_cuda(cudaDeviceSynchronize(), "CUDA memory");
  }
  static void copy(void* target, const void* source, std::size_t bytes) {
    const detail::DriverLock lock(detail::driver());
    require_cuda(cudaDeviceSynchronize(), "CUDA memory");
    require_cuda(cudaMemcpy(target, source, bytes, cudaMemcpyDefault), "CUDA memory");
  }
};

}  // namespace neuroinhib
