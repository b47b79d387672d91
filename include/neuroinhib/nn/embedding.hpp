#pragma once

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/ops/embedding/op.hpp>

namespace neuroinhib::nn {

/// Word vectors and learned positions, initialised as N(0, deviation²).
template <class T>
struct Embedding {
  Parameter<T> words;      ///< [words, width]
  Parameter<T> positions;  ///< [places, width], or none

  Embedding() = default;
  /// `places` 0: without positions.
  Embedding(Index count, Index width, Index places, double deviation = 0.02)
      : words({count, width}, init::normal(deviation)) {
    if (places > 0) positions = {{places, width}, init::normal(deviation)};
  }
  void visit(auto&& v) {
    v("words", words);
    if (positions.tensor.size() > 0) v("positions", positions);
  }
  /// ids [rows] of sequences of `length` rows, the first of each at place `first`. Throws ConfigError.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> operator()(Ex& ex, const View<const int>& ids, Index length, Index first = 0) const {
    return embedding<Ex>(ex, words, positions, ids, length, first);
  }
};

}  // namespace neuroinhib::nn
