#pragma once

#include <neuroinhib/core/memory.hpp>
#include <neuroinhib/ops/attention/op.hpp>

namespace neuroinhib {
namespace ops {

/// cache[s · capacity + past + i] = x[s · rows + i] for the `rows` new rows of each sequence s. Not differentiable; y
/// is undefined.
template <class T>
struct Append {
  static constexpr const char* name = "append";
  Columns<T> x;
  Tensor<T> cache;
  Index capacity, past, rows;
  Tensor<T> y;
};

}  // namespace ops

/// What tokens leave behind for those after them: rows of `capacity` tokens for each of some sequences, kept between
/// steps where the backend computes. Grows by append(), is forgotten by starting at past = 0.
template <class T>
struct TokenCache {
  Storage<T> values;              ///< room for all sequences, [sequences · capacity, width]
  Index capacity = 0, width = 0;  ///< tokens that a sequence has room for, and columns of a row

  TokenCache() = default;
  /// Room for `tokens` rows of `columns` of each of `sequences`, in the decoding backend's memory.
  TokenCache(Index sequences, Index tokens, Index columns, const MemorySpace& space)
      : values(space), capacity(tokens), width(columns) {
    values.assign_zeros(sequences * tokens * columns);
  }
  /// [sequences · capacity, width]; undefined for a cache without room.
  [[nodiscard]] Tensor<T> tensor() {
    Tensor<T> all;
    if (width == 0) return all;
    all.data = values.data();
    all.shape = {values.size() / width, width};
    return all;
  }
};

/// Puts the new rows of every sequence behind those in the cache. Throws ConfigError where it is full.
template <Executor Ex>
void append(Ex& ex, const Columns<ScalarOf<Ex>>& x, TokenCache<ScalarOf<Ex>>& cache, const Sequences& sequences) {
  require_sequences("token cache", sequences, x.tensor.rows());
  if (sequences.length > cache.capacity)
    fail<ConfigError>("token cache", "at most " + std::to_string(cache.capacity) + " tokens a sequence",
                      std::to_string(sequences.length), "make a larger cache, or start anew");
  if (x.tensor.rows() / sequences.rows() * cache.capacity != cache.tensor().rows() || x.width != cache.width)
    fail<ShapeError>("token cache", cache.tensor().shape.text() + " for its sequences",
                     x.tensor.shape.text() + " of " + std::to_string(sequences.rows()) + " rows a sequence",
                     "decode as many sequences as the cache was made for");
  ex.run(ops::Append<ScalarOf<Ex>>{x, cache.tensor(), cache.capacity, sequences.past, sequences.rows(), {}});
}

}  // namespace neuroinhib
