#pragma once

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/count_tokens/op.hpp>
#include <neuroinhib/ops/ranked.hpp>

/// Which attention head informs the routing (Mutual-Inform SMoE, eq. 15). Not differentiable.
namespace neuroinhib {
namespace ops {

/// mean[h] = mean over the counted rows of entropy [rows, heads]. y is undefined.
template <class T>
struct MeanEntropy {
  static constexpr const char* name = "mean_entropy";
  Tensor<T> entropy, mean;
  CountedTokens<T> counted;
  Tensor<T> y;
};

/// head[0] = argmin_h mean[h], the first of equals, NaN before all; without means it is `fixed`. y is undefined.
template <class T>
struct LowestHead {
  static constexpr const char* name = "lowest_head";
  Tensor<T> mean;
  View<int> head;
  Tensor<T> y;
  int fixed = 0;

  /// Writes the head.
  NEUROINHIB_DEVICE void choose() const {
    int lowest = fixed;
    for (int h = 1; mean.data != nullptr && h < mean.size(); ++h)
      if (Ranked<T>(-mean[h], h).before(Ranked<T>(-mean[lowest], lowest))) lowest = h;
    head[0] = lowest;
  }
};

}  // namespace ops

/// Mean entropy of each head over all ranks [1, heads], without gradient.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> mean_entropy(Ex& ex, const TensorOf<Ex>& entropy,
                                        const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  auto mean = ex.tensor({1, entropy.cols()}, false);
  ex.run(ops::MeanEntropy<ScalarOf<Ex>>{
      entropy, mean, detail::counted_of(ex, "mean entropy", counted, entropy.rows()), {}});
  return all_reduce(ex, mean);
}

/// The number of the least of `mean`, on the backend.
template <Executor Ex>
[[nodiscard]] View<int> lowest_head(Ex& ex, const TensorOf<Ex>& mean) {
  const auto head = ex.integers({1});
  ex.run(ops::LowestHead<ScalarOf<Ex>>{mean, head, {}});
  return head;
}

/// `number` on the backend, as the number of a head.
template <Executor Ex>
[[nodiscard]] View<int> fixed_head(Ex& ex, Index number) {
  const auto head = ex.integers({1});
  ex.run(ops::LowestHead<ScalarOf<Ex>>{{}, head, {}, static_cast<int>(number)});
  return head;
}

}  // namespace neuroinhib
