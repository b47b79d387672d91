#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <cstddef>

#include <neuroinhib/backend/cuda_memory.cuh>
#include <neuroinhib/core/arena.hpp>

namespace neuroinhib::detail {

/// An event of a device, without its time. Throws CudaError.
class CudaEvent {
 public:
  explicit CudaEvent(int device) : device_(device) {
    const DriverLock lock(driver());
    const DeviceScope scope(device);
    require_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "Cuda");
  }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  ~CudaEvent() {
    const DriverLock lock(driver());
    const DeviceScope scope(device_);
    (void)cudaEventDestroy(event_);
  }

  [[nodiscard]] cudaEvent_t get() const { return event_; }

 private:
  int device_;
  cudaEvent_t event_ = nullptr;
};

/// What kernels that may run beside others need of their own. Throws CudaError.
struct StreamResources {
  explicit StreamResources(int device) : reached(device), arena(device), device_(device) {
    const DriverLock lock(driver());
    const DeviceScope scope(device);
    require_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "Cuda");
    require_cuda(cublasCreate(&blas), "Cuda");
    require_cuda(cublasSetStream(blas, stream), "Cuda");
    workspace_ = CudaMemory::allocate(device, kWorkspace);
    require_cuda(cublasSetWorkspace(blas, workspace_, kWorkspace), "Cuda");
  }
  StreamResources(const StreamResources&) = delete;
  StreamResources& operator=(const StreamResources&) = delete;
  ~StreamResources() {
    const DriverLock lock(driver());
    const DeviceScope scope(device_);
    (void)cudaStreamSynchronize(stream);
    (void)cublasDestroy(blas);
    (void)cudaStreamDestroy(stream);
    CudaMemory::release(device_, workspace_);
  }

  cudaStream_t stream = nullptr;
  cublasHandle_t blas = nullptr;
  CudaEvent reached;
  Arena<CudaMemory> arena;

 private:
  static constexpr std::size_t kWorkspace = std::size_t{32} << 20;

  int device_;
  void* workspace_ = nullptr;  ///< ours: captured steps allocate nothing, and sums always come in one order
};

}  // namespace neuroinhib::detail
