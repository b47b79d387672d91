#pragma once

#include <cstdint>
#include <cstring>

#include <neuroinhib/backend/target.hpp>

namespace neuroinhib::simd::inline NEUROINHIB_TARGET {

/// Bytes of the widest vector register of the target the program is compiled for, and how many registers there are.
#if defined(__AVX512F__)
inline constexpr int kBytes = 64, kRegisters = 32;
#elif defined(__AVX__)
inline constexpr int kBytes = 32, kRegisters = 16;
#else
inline constexpr int kBytes = 16, kRegisters = 16;
#endif

/// One register of kLanes numbers of T (Value) or of 16-bit integers (Short), through the compilers' vector extension:
/// arithmetic and comparison work lane by lane. load() and store() move the first `lanes` of them; the other lanes are
/// zero.
template <class T>
struct Vector {
  static constexpr int kLanes = kBytes / static_cast<int>(sizeof(T));
  typedef T Value __attribute__((vector_size(kBytes)));  // NOLINT(modernize-use-using): `using` loses the attribute
  using Mask = decltype(Value{} > Value{});              ///< all bits of a lane set where a comparison holds
  typedef std::uint16_t Short __attribute__((vector_size(kLanes * sizeof(std::uint16_t))));  // NOLINT

  template <class Register = Value, class Element>
  static Register load(const Element* from, int lanes = kLanes) {
    Register value{};
    std::memcpy(&value, from, static_cast<std::size_t>(lanes) * sizeof(Element));
    return value;
  }
  template <class Register, class Element>
  static void store(const Register& value, Element* to, int lanes = kLanes) {
    std::memcpy(to, &value, static_cast<std::size_t>(lanes) * sizeof(Element));
  }
};

}  // namespace neuroinhib::simd::inline NEUROINHIB_TARGET
