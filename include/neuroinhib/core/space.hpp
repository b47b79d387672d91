#pragma once

#include <cstddef>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace neuroinhib {

/// Memory of the host, for Arena and Storage: kName, kFirstDevice and kAlignment, and allocate(), release(),
/// reports_writes(), changed(), clear() and copy() as MemoryFunctions has them. They get the number of the memory's
/// device; the host has none. allocate() throws std::bad_alloc.
struct HostMemory {
  static constexpr const char* kName = "host memory";
  static constexpr int kFirstDevice = -1;
  static constexpr std::size_t kAlignment = 64;
  /// Bytes that the machine has.
  static std::size_t total() {
#if defined(_SC_PHYS_PAGES)
    static const auto bytes =
        static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return bytes;
#else
    return std::numeric_limits<std::size_t>::max();
#endif
  }
  static void* allocate(int /*device*/, std::size_t bytes) {
    return ::operator new(bytes, std::align_val_t{kAlignment});
  }
  static void release(int /*device*/, void* memory) noexcept {
    ::operator delete(memory, std::align_val_t{kAlignment});
  }
  static void reports_writes(int /*device*/, const void* /*memory*/) noexcept {}
  static void changed(int /*device*/, const void* /*memory*/) noexcept {}
  static void clear(int /*device*/, void* target, std::size_t bytes) { std::memset(target, 0, bytes); }
  static void copy(int /*device*/, void* target, const void* source, std::size_t bytes) {
    std::memmove(target, source, bytes);
  }
};

/// What can be done with a kind of memory. `allocate` gives `bytes` aligned for the kind, `release` frees them;
/// `reports_writes` says that `changed` will be called for each write, so that a copy of the numbers may be kept;
/// `clear` sets bytes to zero; `copy` takes host addresses and its own.
struct MemoryFunctions {
  void* (*allocate)(int device, std::size_t bytes);
  void (*release)(int device, void* memory) noexcept;
  void (*reports_writes)(int device, const void* memory) noexcept;
  void (*changed)(int device, const void* memory) noexcept;
  void (*clear)(int device, void* target, std::size_t bytes);
  void (*copy)(int device, void* target, const void* source, std::size_t bytes);
};

/// A memory, by its `functions` and its `device`, so that what is kept between steps has one type wherever it lives.
/// Two tensors are in one space where the addresses of their spaces are equal. clear() and copy() wait for all work on
/// that memory, and never run in a step; copy() takes host addresses and its own.
struct MemorySpace {
  const char* name;  ///< of its kind
  MemoryFunctions functions;
  int device;  ///< number, below zero for the host

  /// `bytes` of this memory, until release(). Throws std::bad_alloc, or CudaError.
  [[nodiscard]] void* allocate(std::size_t bytes) const { return functions.allocate(device, bytes); }
  /// Frees what allocate() gave.
  void release(void* memory) const noexcept { functions.release(device, memory); }
  /// The owner of this memory will call changed() for each write, so that a backend may keep its numbers in another
  /// form too.
  void reports_writes(const void* memory) const noexcept { functions.reports_writes(device, memory); }
  /// To be called by whoever writes to such memory or hands it out to be written to: what is kept of it is made anew.
  void changed(const void* memory) const noexcept { functions.changed(device, memory); }
  void clear(void* target, std::size_t bytes) const { functions.clear(device, target, bytes); }
  void copy(void* target, const void* source, std::size_t bytes) const {
    functions.copy(device, target, source, bytes);
  }
  /// For people, such as "host memory" and "memory of GPU 1".
  [[nodiscard]] std::string text() const {
    return device < 0 ? std::string(name) : std::string(name) + " " + std::to_string(device);
  }
};

/// The space of a kind of memory, and, where there are several, of a device.
template <class Memory, int Device = Memory::kFirstDevice>
inline constexpr MemorySpace kSpaceOf{
    Memory::kName,
    {&Memory::allocate, &Memory::release, &Memory::reports_writes, &Memory::changed, &Memory::clear, &Memory::copy},
    Device};

}  // namespace neuroinhib
