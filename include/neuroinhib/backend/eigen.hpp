#pragma once

#include <Eigen/Core>

#include <neuroinhib/backend/target.hpp>

namespace neuroinhib::inline NEUROINHIB_TARGET {

/// The stride of our arrays: none. Being of this namespace, it carries the instruction set into the name of every
/// function of Eigen that computes with them; Eigen's own names do not tell one from another.
struct Contiguous : Eigen::Stride<0, 0> {};

/// One-dimensional arrays of Eigen over our memory.
template <class T, int Size = Eigen::Dynamic>
using ArrayMap = Eigen::Map<Eigen::Array<T, Size, 1>, Eigen::Unaligned, Contiguous>;
/// The same over memory that is only read.
template <class T, int Size = Eigen::Dynamic>
using ConstArrayMap = Eigen::Map<const Eigen::Array<T, Size, 1>, Eigen::Unaligned, Contiguous>;

}  // namespace neuroinhib::inline NEUROINHIB_TARGET
