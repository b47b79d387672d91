#pragma once

#include <cstddef>
#include <cstring>
#include <limits>
#include <new>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace neuroinhib {

/// Memory of the host, for Arena and Storage.
struct HostMemory {
  static constexpr const char* kName = "host memory";
  static constexpr std::size_t kAlignment = 64;
  static void* allocate(std::size_t bytes) { return ::operator new(bytes, std::align_val_t{kAlignment}); }
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
  static void release(void* memory) noexcept { ::operator delete(memory, std::align_val_t{kAlignment}); }
  static void clear(void* target, std::size_t bytes) { std::memset(target, 0, bytes); }
  static void copy(void* target, const void* source, std::size_t bytes) { std::memmove(target, source, bytes); }
};

/// A kind of memory, by its functions, so that what is kept between steps has one type wherever it lives. Two tensors
/// are in one space where the addresses of their spaces are equal.
/// `copy` takes host addresses and its own; it and `clear` wait for all work on that memory, and never run in a step.
struct MemorySpace {
  const char* name;  ///< for people, such as "host memory"
  void* (*allocate)(std::size_t bytes);
  void (*release)(void* memory) noexcept;
  void (*clear)(void* target, std::size_t bytes);
  void (*copy)(void* target, const void* source, std::size_t bytes);
};

template <class Memory>
inline constexpr MemorySpace kSpaceOf{Memory::kName, &Memory::allocate, &Memory::release, &Memory::clear,
                                      &Memory::copy};

}  // namespace neuroinhib
