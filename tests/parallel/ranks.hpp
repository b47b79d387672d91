#pragma once

#include <cstdlib>
#include <iostream>

#include <neuroinhib/parallel/mpi.hpp>
#include <neuroinhib/parallel/ranks.hpp>

#include "support.hpp"

/// What the tests of several ranks share. Every rank computes what one process would, and compares.
namespace testing {

/// The ranks of the test program.
inline Mpi*& world() {
  static Mpi* mpi = nullptr;
  return mpi;
}

template <class T>
using Many = Ranks<Cpu<T>, Mpi>;

/// Largest relative difference that is rounding.
template <class T>
inline constexpr double kRounding = sizeof(T) == 8 ? 1e-12 : 1e-5;

/// A number that tells rank and place.
inline double mark_of(Index rank, Index i) {
  return std::sin(1.0 + 0.37 * static_cast<double>(i) + 1.9 * static_cast<double>(rank));
}

}  // namespace testing
