#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include <neuroinhib/core/error.hpp>
#include <neuroinhib/core/gradient_flag.hpp>
#include <neuroinhib/core/space.hpp>

#if defined(__CUDACC__)
/// Marks what host and device code may call.
#define NEUROINHIB_DEVICE __host__ __device__
#else
#define NEUROINHIB_DEVICE
#endif

namespace neuroinhib {

/// Extents, counts and positions, signed.
using Index = std::ptrdiff_t;

/// Up to four extents, row-major. Rank 0 is a scalar of one element; a default Shape is "no tensor", of zero elements.
class Shape {
 public:
  static constexpr int kMaxRank = 4;  ///< extents that a shape can have

  constexpr Shape() = default;
  /// Those extents, from the slowest to the fastest. Throws ShapeError for more than kMaxRank.
  constexpr Shape(std::initializer_list<Index> extents) : rank_(static_cast<int>(extents.size())) {
    if (extents.size() > kMaxRank)
      fail<ShapeError>("shape", "at most 4 extents", std::to_string(extents.size()),
                       "multiply the trailing ones into one");
    int axis = 0;
    for (const Index extent : extents) extents_[axis++] = extent;
  }

  /// The shape of one number, of rank 0.
  [[nodiscard]] static constexpr Shape scalar() {
    Shape shape;
    shape.rank_ = 0;
    return shape;
  }

  /// How many extents there are.
  NEUROINHIB_DEVICE [[nodiscard]] constexpr int rank() const { return rank_ < 0 ? 0 : rank_; }
  /// The extent of an axis < rank().
  NEUROINHIB_DEVICE [[nodiscard]] constexpr Index operator[](int axis) const { return extents_[axis]; }
  /// The number of elements: the product of the extents.
  NEUROINHIB_DEVICE [[nodiscard]] constexpr Index size() const {
    if (rank_ < 0) return 0;
    Index product = 1;
    for (int axis = 0; axis < rank_; ++axis) product *= (*this)[axis];
    return product;
  }
  /// The tensor read as a matrix: the first extent, and the product of all others.
  NEUROINHIB_DEVICE [[nodiscard]] constexpr Index rows() const { return rank_ > 0 ? (*this)[0] : size(); }
  /// The product of all extents after the first.
  NEUROINHIB_DEVICE [[nodiscard]] constexpr Index cols() const { return rows() == 0 ? trailing() : size() / rows(); }

  [[nodiscard]] constexpr bool operator==(const Shape&) const = default;

  /// For people to read, as in "[4, 3]".
  [[nodiscard]] std::string text() const {
    std::string out = "[";
    for (int axis = 0; axis < rank(); ++axis) out += (axis ? ", " : "") + std::to_string((*this)[axis]);
    return out + "]";
  }

 private:
  NEUROINHIB_DEVICE [[nodiscard]] constexpr Index trailing() const {
    Index product = 1;
    for (int axis = 1; axis < rank_; ++axis) product *= (*this)[axis];
    return rank_ < 0 ? 0 : product;
  }

  Index extents_[kMaxRank]{};  // NOLINT(modernize-avoid-c-arrays): std::array has no device functions
  int rank_ = -1;
};

/// What has its elements one after another in memory: std::vector, std::array, std::span, Storage.
template <class R, class T>
concept RangeOf = requires(R& range) {
  { range.data() } -> std::convertible_to<T*>;
  { range.size() } -> std::convertible_to<Index>;
};

/// Non-owning row-major view: a pointer, `data`, and its extents, `shape`. Cheap to copy, usable in device code.
template <class T>
struct View {
  T* data = nullptr;
  Shape shape;

  View() = default;
  /// `extents` of a memory that outlives the view.
  NEUROINHIB_DEVICE View(T* memory, const Shape& extents) : data(memory), shape(extents) {}
  /// All elements [size] of a range that outlives the view, so that labels and words are passed as they are.
  template <RangeOf<T> R>
  View(R& range)  // NOLINT(google-explicit-constructor)
      : data(range.data()), shape{static_cast<Index>(range.size())} {}

  /// The number of elements.
  NEUROINHIB_DEVICE [[nodiscard]] Index size() const { return shape.size(); }
  /// Rows and columns of the elements read as a matrix, as in Shape.
  NEUROINHIB_DEVICE [[nodiscard]] Index rows() const { return shape.rows(); }
  /// As in Shape.
  NEUROINHIB_DEVICE [[nodiscard]] Index cols() const { return shape.cols(); }
  /// Element i in row-major order, unchecked.
  NEUROINHIB_DEVICE T& operator[](Index i) const { return data[i]; }
  /// Element of the matrix, unchecked.
  NEUROINHIB_DEVICE T& operator()(Index row, Index col) const { return data[row * cols() + col]; }
  /// The first element: a view of host memory is a range.
  [[nodiscard]] T* begin() const { return data; }
  /// Behind the last element.
  [[nodiscard]] T* end() const { return data + size(); }
  /// A view of the same elements that cannot write them.
  template <class U, std::enable_if_t<std::is_same_v<U, const T> && !std::is_const_v<T>, int> = 0>
  operator View<U>() const {  // NOLINT(google-explicit-constructor)
    return {data, shape};
  }
};

/// Where a backward kernel puts the gradient of one tensor: the first contribution is stored, later ones are added, so
/// nothing is cleared beforehand. `data` is null where none is wanted; `add` tells that there is a contribution
/// already.
template <class T>
struct GradientSlot {
  T* data = nullptr;
  bool add = false;

  /// Whether the gradient is wanted.
  NEUROINHIB_DEVICE explicit operator bool() const { return data != nullptr; }
  /// Contributes `value` to element i.
  NEUROINHIB_DEVICE void put(Index i, T value) const { data[i] = add ? data[i] + value : value; }
};

/// A value in a computation: a view and, where a gradient is wanted, the place for it. `gradient` has the view's
/// extents, and *`gradient_written` tells whether it holds anything. A default Tensor means "none".
template <class T>
struct Tensor : View<T> {
  T* gradient = nullptr;
  bool* gradient_written = nullptr;
  const MemorySpace* space = nullptr;  ///< where it lives; none: in the step's memory of the backend that made it

  /// Whether there is a value.
  [[nodiscard]] bool defined() const { return this->data != nullptr; }
  /// Whether there is a place for its gradient.
  [[nodiscard]] bool wants_gradient() const { return gradient != nullptr; }
  /// Whether a contribution to its gradient has been written.
  [[nodiscard]] bool has_gradient() const { return gradient != nullptr && *gradient_written; }

  /// Claims the gradient's place for one contribution; empty where no gradient is wanted.
  [[nodiscard]] GradientSlot<T> claim_gradient() const {
    if (!wants_gradient()) return {};
    const bool add = *gradient_written;
    detail::set_flag(*gradient_written, true);
    return {gradient, add};
  }

  /// The same memory under other extents of equal size.
  [[nodiscard]] Tensor reshaped(const Shape& other) const {
    if (other.size() != this->size())
      fail<ShapeError>("reshape", std::to_string(this->size()) + " elements, as in " + this->shape.text(), other.text(),
                       "give extents whose product is that number");
    Tensor result = *this;
    result.shape = other;
    return result;
  }

  /// The same value, through which no gradient flows.
  [[nodiscard]] Tensor detached() const {
    Tensor result = *this;
    result.gradient = nullptr;
    result.gradient_written = nullptr;
    return result;
  }
};

namespace detail {

/// Throws ShapeError unless the shape is that of so many values.
template <class T>
[[nodiscard]] Tensor<T> tensor_over(const View<T>& values, const Shape& shape, const MemorySpace* space) {
  if (values.size() != shape.size())
    fail<ShapeError>("tensor", std::to_string(shape.size()) + " values for " + shape.text(),
                     std::to_string(values.size()), "give as many values as the shape has elements");
  Tensor<T> result;
  result.data = values.data;
  result.shape = shape;
  result.space = space;
  return result;
}

}  // namespace detail

/// A tensor over the caller's host memory, such as a batch of inputs; no gradient is wanted. Throws ShapeError where
/// the sizes differ. The memory must outlive the step.
template <class Range>
[[nodiscard]] auto tensor(Range& values, const Shape& shape) {
  return detail::tensor_over(View<typename Range::value_type>(values), shape, &kSpaceOf<HostMemory>);
}

/// Whether a gradient is wanted of any of them.
template <class... T>
[[nodiscard]] bool any_wants_gradient(const Tensor<T>&... inputs) {
  return (inputs.wants_gradient() || ...);
}

/// Throws ShapeError unless `actual` equals `expected`.
inline void require_shape(std::string_view where, const Shape& expected, const Shape& actual, std::string_view remedy) {
  if (actual != expected) fail<ShapeError>(where, "shape " + expected.text(), actual.text(), remedy);
}

/// Throws ShapeError for a tensor without elements.
inline void require_rows(std::string_view where, const Shape& actual) {
  if (actual.size() == 0)
    fail<ShapeError>(where, "at least one row", "an empty batch " + actual.text(), "skip empty batches");
}

/// Throws ShapeError unless the tensor, read as a matrix, has `width` columns and at least one row.
inline void require_width(std::string_view where, Index width, const Shape& actual, std::string_view remedy) {
  require_rows(where, actual);
  if (actual.cols() != width) fail<ShapeError>(where, "rows of width " + std::to_string(width), actual.text(), remedy);
}

/// Throws NumericError for NaN or infinity: for inputs, before they meet a network.
template <class T>
void require_finite(const View<const T>& values, std::string_view where) {
  for (Index i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      fail<NumericError>(where, "finite numbers", number_text(values[i]) + " at element " + std::to_string(i),
                         "replace or drop that value before a network sees it");
}

}  // namespace neuroinhib
