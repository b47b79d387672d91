#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <neuroinhib/core/space.hpp>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

/// An array in some memory space: what parameters, moments and module states are kept in. Copies are deep; a smaller
/// size keeps the memory.
template <class T>
class Storage {
 public:
  /// Empty, in host memory or in `space`.
  Storage() : Storage(kSpaceOf<HostMemory>) {}
  explicit Storage(const MemorySpace& space) : space_(&space) {}
  /// A copy of host values.
  Storage(const MemorySpace& space, const View<const T>& values) : space_(&space) {
    assign(values.data, values.size());
  }
  Storage(const Storage& other) : space_(other.space_) { assign(other.data_, other.size_); }
  Storage(Storage&& other) noexcept : space_(other.space_) { swap(other); }
  /// Copies deeply, or takes over the memory of an array that is moved from.
  Storage& operator=(Storage other) noexcept {
    swap(other);
    return *this;
  }
  ~Storage() {
    if (data_ != nullptr) space_->release(data_);
  }

  /// The elements, in space(); null while it is empty.
  [[nodiscard]] T* data() { return data_; }
  [[nodiscard]] const T* data() const { return data_; }
  /// Elements in use.
  [[nodiscard]] Index size() const { return size_; }
  /// Where the elements live.
  [[nodiscard]] const MemorySpace& space() const { return *space_; }

  /// Makes room for `size` elements, whose values are lost where the room must grow.
  void resize(Index size) {
    if (size > capacity_) {
      if (data_ != nullptr) space_->release(std::exchange(data_, nullptr));
      size_ = capacity_ = 0;
      data_ = static_cast<T*>(space_->allocate(bytes(size)));
      capacity_ = size;
    }
    size_ = size;
  }
  /// Resizes to `size` zeros.
  void assign_zeros(Index size) {
    resize(size);
    if (size > 0) space_->clear(data_, bytes(size));
  }
  /// Takes `size` values over from host memory or from this space.
  void assign(const T* values, Index size) {
    resize(size);
    if (size > 0) space_->copy(data_, values, bytes(size));
  }
  /// The elements on the host; waits for the device, where they live on one.
  [[nodiscard]] std::vector<T> to_host() const {
    std::vector<T> values(static_cast<std::size_t>(size_));
    if (size_ > 0) space_->copy(values.data(), data_, bytes(size_));
    return values;
  }

 private:
  static std::size_t bytes(Index size) { return static_cast<std::size_t>(size) * sizeof(T); }
  void swap(Storage& other) noexcept {
    std::swap(space_, other.space_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  const MemorySpace* space_;
  T* data_ = nullptr;
  Index size_ = 0, capacity_ = 0;
};

/// A tensor over memory that outlives the step, such as a data set on the GPU; no gradient is wanted. Throws ShapeError
/// where the sizes differ.
template <class T>
[[nodiscard]] Tensor<T> tensor(Storage<T>& values, const Shape& shape) {
  return detail::tensor_over(View<T>(values), shape, &values.space());
}

}  // namespace neuroinhib
