#pragma once

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {
namespace ops {

/// y[i] = 1 / choices at `choices` different experts that are a function of ids[i] and the seed, zero elsewhere.
/// ids [tokens], y [tokens, experts]. Not differentiable.
template <class T>
struct HashScores {
  static constexpr const char* name = "hash_scores";
  View<const int> ids;
  Tensor<T> y;
  Index choices;
  std::uint64_t seed;

  /// Fills the token's row: the next choice is a random one of those left.
  NEUROINHIB_DEVICE void fill(Index token) const {
    const Index experts = y.shape[1];
    T* row = y.data + token * experts;
    for (Index k = 0; k < experts; ++k) row[k] = 0;
    const RandomStream stream{seed, static_cast<std::uint64_t>(ids[token]), 0};
    for (Index choice = 0; choice < choices; ++choice) {
      auto left =
          static_cast<Index>((std::uint64_t{stream.word(choice)} * static_cast<std::uint64_t>(experts - choice)) >> 32);
      Index k = 0;
      while (row[k] > 0 || left-- > 0) ++k;
      row[k] = T{1} / static_cast<T>(choices);
    }
  }
};

}  // namespace ops

/// Throws ConfigError unless 1 ≤ choices ≤ experts.
inline void require_choices(Index choices, Index experts) {
  if (choices < 1 || choices > experts)
    fail<ConfigError>("hash router", "1 to " + std::to_string(experts) + " choices", std::to_string(choices),
                      "lower the choices, or give the layer more experts");
}

/// Expert probabilities that depend on the word alone. Throws ConfigError unless 1 ≤ choices ≤ experts.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> hash_scores(Ex& ex, const View<const int>& ids, Index experts, Index choices,
                                       std::uint64_t seed) {
  require_choices(choices, experts);
  auto y = ex.tensor({ids.size(), experts}, false);
  ex.run(ops::HashScores<ScalarOf<Ex>>{ids, y, choices, seed});
  return y;
}

}  // namespace neuroinhib
