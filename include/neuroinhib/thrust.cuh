#pragma once

/// Thrust beside neuroinhib, for .cu files: algorithms inside a step (with_thrust), tensors over Thrust's vectors and
/// back without a copy, and vectors in our memory spaces.

#include <thrust/device_malloc_allocator.h>
#include <thrust/device_ptr.h>
#include <thrust/device_vector.h>

#include <neuroinhib/backend/cuda_thrust.cuh>
#include <neuroinhib/core/memory.hpp>

namespace neuroinhib {

/// A tensor over a Thrust vector's memory, which must outlive the step. Throws ShapeError where the sizes differ.
template <class T, class Allocator>
[[nodiscard]] Tensor<T> tensor(thrust::device_vector<T, Allocator>& values, const Shape& shape) {
  const View<T> all(thrust::raw_pointer_cast(values.data()), {static_cast<Index>(values.size())});
  return detail::tensor_over(all, shape, nullptr);
}

/// A tensor's elements as a range of Thrust's: its memory, not a copy.
template <class T>
[[nodiscard]] thrust::device_ptr<T> device_begin(const View<T>& view) {
  return thrust::device_pointer_cast(view.data);
}
/// The end of that range.
template <class T>
[[nodiscard]] thrust::device_ptr<T> device_end(const View<T>& view) {
  return device_begin(view) + view.size();
}

/// A memory space of the device as Thrust's allocator: `thrust::device_vector<float, SpaceAllocator<float>> v(n,
/// SpaceAllocator<float>(cuda.space()))`. `rebind<U>::other` is the allocator of U, as Thrust asks for.
template <class T>
class SpaceAllocator : public thrust::device_malloc_allocator<T> {
 public:
  using typename thrust::device_malloc_allocator<T>::pointer;
  using typename thrust::device_malloc_allocator<T>::size_type;
  template <class U>
  struct rebind {
    using other = SpaceAllocator<U>;
  };

  /// Of that space, which outlives what is allocated.
  explicit SpaceAllocator(const MemorySpace& space = kSpaceOf<CudaMemory>) : space_(&space) {}
  template <class U>
  SpaceAllocator(const SpaceAllocator<U>& other) : space_(&other.space()) {}

  /// Where it allocates.
  [[nodiscard]] const MemorySpace& space() const { return *space_; }
  /// Memory for `count` elements. Throws CudaError.
  [[nodiscard]] pointer allocate(size_type count) {
    return pointer(static_cast<T*>(space_->allocate(count * sizeof(T))));
  }
  /// Frees what allocate() gave.
  void deallocate(pointer memory, size_type) { space_->release(thrust::raw_pointer_cast(memory)); }

  /// Whether one frees what the other allocates.
  [[nodiscard]] bool operator==(const SpaceAllocator& other) const { return space_ == other.space_; }
  /// Whether neither frees what the other allocates.
  [[nodiscard]] bool operator!=(const SpaceAllocator& other) const { return space_ != other.space_; }

 private:
  const MemorySpace* space_;
};

}  // namespace neuroinhib
