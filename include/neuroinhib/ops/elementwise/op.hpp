#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// y = Σ inputs, all of one shape.  d(input) = dy.
template <class T>
struct Sum {
  static constexpr const char* name = "sum";
  const Tensor<T>* inputs;
  Index count;  ///< how many inputs there are
  Tensor<T> y;

  /// The inputs, which are not in the operation itself.
  [[nodiscard]] std::span<const Tensor<T>> further_tensors() const { return {inputs, static_cast<std::size_t>(count)}; }
};

/// y = factor · x.
template <class T>
struct Scale {
  static constexpr const char* name = "scale";
  Tensor<T> x, y;
  T factor;
};

}  // namespace ops

/// Sum of tensors of one shape; undefined ones are left out. Undefined where all are.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> sum(Ex& ex, std::initializer_list<TensorOf<Ex>> inputs) {
  using T = ScalarOf<Ex>;
  auto* kept = ex.backend().arena().template allocate<Tensor<T>>(static_cast<Index>(inputs.size()));
  Index count = 0;
  bool wants_gradient = false;
  for (const auto& input : inputs) {
    if (!input.defined()) continue;
    if (count > 0) require_shape("sum", kept[0].shape, input.shape, "add tensors of one shape");
    wants_gradient |= input.wants_gradient();
    kept[count++] = input;
  }
  if (count == 0) return {};
  if (count == 1) return kept[0];
  auto y = ex.tensor(kept[0].shape, wants_gradient);
  ex.run(ops::Sum<T>{kept, count, y});
  return y;
}

/// Copies a result of inference into memory that outlives it; no gradient flows.
template <Executor Ex>
void copy_into(Ex& ex, const TensorOf<Ex>& from, const TensorOf<Ex>& to) {
  static_assert(kInference<Ex>, "copy_into drops the gradient: it is for inference on a plain backend");
  require_shape("copy", to.shape, from.shape, "copy between tensors of one shape");
  ex.run(ops::Scale<ScalarOf<Ex>>{from, to, 1});
}

/// factor · x.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> scale(Ex& ex, const TensorOf<Ex>& x, double factor) {
  auto y = ex.tensor(x.shape, x.wants_gradient());
  ex.run(ops::Scale<ScalarOf<Ex>>{x, y, static_cast<ScalarOf<Ex>>(factor)});
  return y;
}

}  // namespace neuroinhib
