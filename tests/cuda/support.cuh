#pragma once

#include <cstring>
#include <functional>

#include "kernels/cuda.cuh"
#include "support.hpp"

/// What the tests of both backends share: the same step on either, and its results on the host in double.
namespace testing {

/// Memory of the backend's kind: of the host, or of the first GPU.
template <class B>
inline constexpr const MemorySpace& kFirstSpace = kSpaceOf<CudaMemory>;
template <class T>
inline constexpr const MemorySpace& kFirstSpace<Cpu<T>> = kSpaceOf<HostMemory>;

/// Memory of a backend that lives as long as the test.
template <class B>
class Kept {
 public:
  using T = typename B::Scalar;

  Kept(const Shape& shape, const std::vector<double>& values)
      : shape_(shape), values_(kFirstSpace<B>), gradients_(kFirstSpace<B>) {
    const std::vector<T> converted(values.begin(), values.end());
    values_.assign(converted.data(), static_cast<Index>(converted.size()));
    gradients_.assign_zeros(values_.size());
  }
  [[nodiscard]] Tensor<T> constant() {
    Tensor<T> result;
    result.data = values_.data();
    result.shape = shape_;
    return result;
  }
  [[nodiscard]] Tensor<T> variable() {
    Tensor<T> result = constant();
    result.gradient = gradients_.data();
    result.gradient_written = &written_;
    return result;
  }
  [[nodiscard]] std::vector<double> gradient() const {
    const std::vector<T> values = gradients_.to_host();
    return {values.begin(), values.end()};
  }

 private:
  Shape shape_;
  Storage<T> values_, gradients_;
  bool written_ = false;
};

using Numbers = std::vector<double>;

template <class B, class U>
[[nodiscard]] Numbers numbers(B& backend, const View<U>& values) {
  const auto read = backend.read(values);
  return {read.begin(), read.end()};
}

/// Weights that make a scalar of any tensor.
inline Numbers weights(Index count) {
  Numbers values(static_cast<std::size_t>(count));
  for (Index i = 0; i < count; ++i)
    values[static_cast<std::size_t>(i)] = 1.3 + std::cos(1.0 + 0.7 * static_cast<double>(i));
  return values;
}

/// Σ weights ⊙ y, written as elementwise operations: exact in float, whatever the products' precision.
template <class Ex>
[[nodiscard]] TensorOf<Ex> weighted_total(Ex& ex, const TensorOf<Ex>& y, Kept<typename Ex::Backend>& weights) {
  const Index count = y.size();
  const auto product = gated_activation(ex, weights.constant().reshaped(y.shape), y, Activation::identity);
  return scale(ex, batch_pool(ex, product.reshaped({count, 1}), Pooling::mean).reshaped(Shape::scalar()),
               static_cast<double>(count));
}

/// ‖a − b‖ / ‖b‖; infinite where sizes differ or a number is not finite.
inline double distance(const Numbers& a, const Numbers& b) {
  if (a.size() != b.size()) return INFINITY;
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) return INFINITY;
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / size);
}

/// Writes a NaN that the device has made to `target`: 0x7fffffff, all bits but the sign.
inline void spoil(Cuda<float>& cuda, float* target) {
  cuda.parallel_for(1, [=] __device__(Index) { *target = (*target - *target) / (*target - *target); });
  const float made = cuda.value(target);
  std::uint32_t bits = 0;
  std::memcpy(&bits, &made, sizeof bits);
  REQUIRE(bits == 0x7fffffffu);
}

[[nodiscard]] inline Kept<Cuda<float>> numbers_of(const Shape& shape, std::uint64_t seed) {
  return {shape, Values<double>(shape, seed).values};
}

/// Whether every row of y is NaN throughout where expected(row), and nowhere else.
inline void check_nan_rows(Cuda<float>& cuda, const Tensor<float>& y, const std::function<bool(Index)>& expected) {
  const auto values = cuda.read(View<float>(y));
  for (Index i = 0; i < y.size(); ++i) {
    INFO("element ", i, " of ", y.shape.text());
    REQUIRE(std::isnan(values[static_cast<std::size_t>(i)]) == expected(i / y.cols()));
  }
}

}  // namespace testing
