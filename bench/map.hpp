#pragma once

#include <cstdio>

#include <neuroinhib/neuroinhib.hpp>

/// Operations from one functor beside kernels written by hand: the same function, forward and backward.
namespace bench {

using namespace neuroinhib;

/// x σ(x).
struct MappedSilu {
  static constexpr bool kVectorised = true;
  template <class T>
  NEUROINHIB_DEVICE T operator()(T x) const {
    return x * math::sigmoid(x);
  }
  template <class T>
  NEUROINHIB_DEVICE T derivative(T x) const {
    const T s = math::sigmoid(x);
    return s * (1 + x * (1 - s));
  }
};

/// z σ(g).
struct MappedGate {
  static constexpr bool kVectorised = true;
  template <class T>
  NEUROINHIB_DEVICE T operator()(T z, T g) const {
    return z * math::sigmoid(g);
  }
  template <class T>
  NEUROINHIB_DEVICE Partials<T, 2> derivative(T z, T g) const {
    const T s = math::sigmoid(g);
    return {{s, z * s * (1 - s)}};
  }
};

/// Tensors with gradients, for one operation at a time.
template <class B>
class Tensors {
 public:
  explicit Tensors(B& backend) : backend_(&backend) { backend.begin_step(); }
  [[nodiscard]] Tensor<float> make(const Shape& shape) {
    Tensor<float> result = backend_->tensor(shape, false);
    result.gradient = backend_->tensor(shape, false).data;
    result.gradient_written = &written_;
    backend_->fill(result.data, shape.size(), .5f);
    backend_->fill(result.gradient, shape.size(), .5f);
    return result;
  }
  /// Gradients are stored, not added.
  void clear() { written_ = false; }

 private:
  B* backend_;
  bool written_ = false;
};

/// Prints the times of two operations, and their ratio. median(call) → milliseconds.
template <class B, class Mapped, class ByHand, class Median>
void compare(const char* name, B& backend, Tensors<B>& tensors, const Mapped& mapped, const ByHand& by_hand,
             const Median& median) {
  const auto times = [&](const auto& op) {
    const double there = median([&] { forward(backend, op); });
    const double back = median([&] {
      tensors.clear();
      backward(backend, op);
    });
    return std::pair(there, back);
  };
  const auto ours = times(mapped), other = times(by_hand);
  std::printf("| %-30s | %8.3f / %8.3f | %8.3f / %8.3f | %.2f / %.2f |\n", name, ours.first, ours.second, other.first,
              other.second, ours.first / other.first, ours.second / other.second);
}

template <class B, class Median>
void compare_all(B& backend, const Shape& shape, const Median& median) {
  std::printf("%s, %s\n| operation | map, forward / backward ms | by hand | ratio |\n|---|---:|---:|---:|\n",
              backend.describe().c_str(), shape.text().c_str());
  Tensors<B> tensors(backend);
  const auto x = tensors.make(shape), other = tensors.make(shape), y = tensors.make(shape), mask = tensors.make(shape);
  const auto row = tensors.make({1, shape.cols()});
  compare("product", backend, tensors, ops::Map<float, ops::Multiply, 2>{{}, {x, other}, y},
          ops::Activate<float>{x, other, y, Activation::identity}, median);
  compare("SiLU", backend, tensors, ops::Map<float, MappedSilu, 1>{{}, {x}, y},
          ops::Activate<float>{x, {}, y, Activation::silu}, median);
  const GateTerm<float> for_each{other, true}, for_all{row, true};
  compare("gate", backend, tensors, ops::Map<float, MappedGate, 2>{{}, {x, other}, y},
          ops::Gate<float>{x, mask, y, &for_each, 1, Bracket::inside}, median);
  compare("gate of one row for all", backend, tensors, ops::Map<float, MappedGate, 2>{{}, {x, row}, y},
          ops::Gate<float>{x, mask, y, &for_all, 1, Bracket::inside}, median);
  const auto mean = tensors.make({1, shape.cols()});
  compare("column sums", backend, tensors, ops::Reduce<float, Plus>{{}, x, mean, false},
          ops::BatchPool<float>{x, mean, {}, Pooling::mean}, median);
}

}  // namespace bench
