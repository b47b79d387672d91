#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
  const bool of_capture = status >= cudaErrorStreamCaptureUnsupported && status <= cudaErrorStreamCaptureWrongThread;
  const char* remedy = status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver
                           ? "use the CPU backend, or install a GPU and its driver"
                       : status == cudaErrorNoKernelImageForDevice
                           ? "compile for this GPU's architecture (nvcc -arch=native)"
                       : of_capture ? "run steps of that kind until they take no more memory, then capture one that "
                                      "neither waits for the device nor copies from or to the host"
                                    : "run under compute-sanitizer to find the cause";
  fail<CudaError>(where, "success", std::string(cudaGetErrorName(status)) + ", " + cudaGetErrorString(status), remedy);
}
inline void require_cuda(cublasStatus_t status, std::string_view where) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail<CudaError>(where, "success", cublasGetStatusString(status), "check the shapes and the free memory");
}

namespace detail {

/// Held by whoever calls the driver, and during a whole capture: what other threads load or free meanwhile would break
/// the capture. A replay holds it while it is launched.
inline std::recursive_mutex& driver() {
  static std::recursive_mutex mutex;
  return mutex;
}
using DriverLock = std::lock_guard<std::recursive_mutex>;

/// Makes a device the calling thread's current one, and the one before at the end of the scope. Streams and handles
/// belong to a device: what is called with them fails where it could not be set.
class DeviceScope {
 public:
  explicit DeviceScope(int device) noexcept : status_(cudaGetDevice(&before_)) {
    changed_ = status_ == cudaSuccess && before_ != device;
    if (changed_) status_ = cudaSetDevice(device);
  }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
  ~DeviceScope() {
    if (changed_) (void)cudaSetDevice(before_);
  }
  /// Throws CudaError where the device could not be set.
  void require(std::string_view where) const { require_cuda(status_, where); }

 private:
  int before_ = 0;
  cudaError_t status_;
  bool changed_ = false;
};

/// The device memory that is allocated now, so that a captured step can tell whether what it uses is still there. To be
/// asked under the driver's lock.
class DeviceAllocations {
 public:
  /// One allocation; no other has its number, also where it gets the same address.
  struct Allocation {
    std::size_t bytes;
    std::uint64_t number;
    bool reports_writes = false;  ///< its owner calls changed() for each write, so that a copy may be kept
    void* halves = nullptr;       ///< floats' copy in bf16, where one is kept
    bool halves_current = false;  ///< now; while a step is captured: at this point of it
  };
  using Map = std::map<std::uintptr_t, Allocation>;

  /// Never destroyed: static objects may release their memory after everything else.
  [[nodiscard]] static DeviceAllocations& all() {
    static auto& allocations = *new DeviceAllocations;
    return allocations;
  }
  void add(const void* memory, std::size_t bytes) { live_[address(memory)] = {bytes, ++last_}; }
  /// Returns the copy that was kept of it: to be released too.
  [[nodiscard]] void* remove(const void* memory) {
    const auto found = live_.find(address(memory));
    if (found == live_.end()) return nullptr;
    void* const halves = found->second.halves;
    live_.erase(found);
    return halves;
  }
  /// The allocation that an address lies in, and where that begins; null where it lies in none. The address right
  /// behind an allocation is its own too: no other one begins there (CudaMemory::allocate).
  [[nodiscard]] std::pair<Allocation*, std::uintptr_t> find(const void* memory) {
    const auto next = live_.upper_bound(address(memory));
    if (next == live_.begin()) return {nullptr, 0};
    auto& [begin, allocation] = *std::prev(next);
    return {address(memory) - begin <= allocation.bytes ? &allocation : nullptr, begin};
  }
  /// Somebody has written there: a copy of these numbers is out of date.
  void changed(const void* memory) {
    if (Allocation* const allocation = find(memory).first) allocation->halves_current = false;
  }
  /// Its owner will call changed() for each write.
  void reports_writes(const void* memory) {
    if (Allocation* const allocation = find(memory).first) allocation->reports_writes = true;
  }
  /// Where a capture begins, copies count as current, since a replay makes those so that it reads. Where it ends none
  /// does, since nothing has run.
  void set_all_current(bool current) {
    for (auto& [begin, allocation] : live_) allocation.halves_current = current && allocation.halves != nullptr;
  }
  /// The numbers of allocations whose copy is current.
  [[nodiscard]] std::vector<std::uint64_t> current() const {
    std::vector<std::uint64_t> numbers;
    for (const auto& [begin, allocation] : live_)
      if (allocation.halves_current) numbers.push_back(allocation.number);
    return numbers;
  }
  /// The number of the allocation that find() finds; 0 where it finds none.
  [[nodiscard]] std::uint64_t number_at(const void* memory) {
    const Allocation* const allocation = find(memory).first;
    return allocation != nullptr ? allocation->number : 0;
  }

 private:
  static std::uintptr_t address(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory); }

  Map live_;
  std::uint64_t last_ = 0;
};

}  // namespace detail

/// Memory of a GPU: kName, kFirstDevice and kAlignment, and allocate(), release(), changed(), clear() and copy() as
/// MemoryFunctions has them. They throw CudaError; clear() and copy() wait for the device.
struct CudaMemory {
  static constexpr const char* kName = "memory of GPU";
  static constexpr int kFirstDevice = 0;
  static constexpr std::size_t kAlignment = 256;

  /// No limit of ours: allocate() tells how much is free.
  static std::size_t total() { return std::numeric_limits<std::size_t>::max(); }
  /// Throws CudaError with the bytes asked for and those that are free.
  static void* allocate(int device, std::size_t bytes) {
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope scope(device);
    scope.require("CUDA memory");
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, bytes + 1);  // so that no other begins where this one ends
    if (status == cudaErrorMemoryAllocation) {
      std::size_t available = 0, total = 0;
      (void)cudaGetLastError();
      (void)cudaMemGetInfo(&available, &total);
      fail<CudaError>("CUDA memory", std::to_string(bytes >> 20) + " MiB",
                      std::to_string(available >> 20) + " MiB free of " + std::to_string(total >> 20),
                      "use a smaller batch or model");
    }
    require_cuda(status, "CUDA memory");
    detail::DeviceAllocations::all().add(memory, bytes);
    return memory;
  }
  /// Frees what allocate() gave, and its copy in bf16.
  static void release(int device, void* memory) noexcept {
    const detail::DriverLock lock(detail::driver());
    void* const halves = detail::DeviceAllocations::all().remove(memory);
    (void)cudaFree(memory);
    if (halves != nullptr) release(device, halves);
  }
  /// The owner will call changed() for each write: a copy in bf16 may be kept.
  static void reports_writes(int /*device*/, const void* memory) noexcept {
    const detail::DriverLock lock(detail::driver());
    detail::DeviceAllocations::all().reports_writes(memory);
  }
  /// Somebody has written there: a copy in bf16 is out of date.
  static void changed(int /*device*/, const void* memory) noexcept {
    const detail::DriverLock lock(detail::driver());
    detail::DeviceAllocations::all().changed(memory);
  }
  static void clear(int device, void* target, std::size_t bytes) {
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope scope(device);
    require_cuda(cudaDeviceSynchronize(), "CUDA memory");
    changed(device, target);
    require_cuda(cudaMemset(target, 0, bytes), "CUDA memory");
    require_cuda(cudaDeviceSynchronize(), "CUDA memory");
  }
  static void copy(int device, void* target, const void* source, std::size_t bytes) {
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope scope(device);
    require_cuda(cudaDeviceSynchronize(), "CUDA memory");
    changed(device, target);
    require_cuda(cudaMemcpy(target, source, bytes, cudaMemcpyDefault), "CUDA memory");
    // The call before may return sooner than the copy is done: within the device, and from pageable memory.
    require_cuda(cudaDeviceSynchronize(), "CUDA memory");
  }
};

inline constexpr int kMaxDevices = 64;  ///< that a host may have

/// The memory of a GPU: where what its backends compute with must live. Throws CudaError beyond kMaxDevices.
[[nodiscard]] inline const MemorySpace& cuda_space(int device) {
  static constexpr auto kSpaces = []<int... Device>(std::integer_sequence<int, Device...>) {
    return std::array{&kSpaceOf<CudaMemory, Device>...};
  }(std::make_integer_sequence<int, kMaxDevices>{});
  if (device < 0 || device >= kMaxDevices)
    fail<CudaError>("memory of a GPU", "a device from 0 to " + std::to_string(kMaxDevices - 1), std::to_string(device),
                    "choose one that nvidia-smi lists");
  return *kSpaces[static_cast<std::size_t>(device)];
}

}  // namespace neuroinhib
