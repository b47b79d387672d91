#pragma once

#include <cmath>
#include <string>

#include <neuroinhib/backend/backend.hpp>
#include <neuroinhib/ops/batch_pool/op.hpp>
#include <neuroinhib/routing/router.hpp>

/// Whether mutual-inform routing does anything: with raw features, or a small τ or σ, each token may listen to itself
/// alone, and the router is its base.
namespace neuroinhib {

/// Means over the tokens of a batch, [1, 1] each, on the backend until the next step begins.
template <class T>
struct InformMeans {
  Tensor<T> self_weight;  ///< weight of a token on itself
  Tensor<T> entropy;      ///< H of a token's weights, in nats
};

/// What MoeOutput::router says of mutual-inform routing; no step waits for it, and it may be captured. Throws
/// ConfigError for the output of another router. Padding, which sees itself alone, is left out where `counted` says
/// which tokens are not.
template <Executor Ex>
[[nodiscard]] InformMeans<ScalarOf<Ex>> inform_means(Ex& ex, const RouterOutput<ScalarOf<Ex>>& output,
                                                     const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  if (!output.self_weight.defined())
    fail<ConfigError>("inform means", "the output of SimilarityInform or AttentionInform", "another router's",
                      "call it for layers with one of these two");
  const auto mean = [&](const TensorOf<Ex>& numbers) {
    return batch_pool(ex, numbers.reshaped({numbers.size(), 1}), Pooling::mean, 1, counted);
  };
  return {mean(output.self_weight), mean(output.entropy)};
}

/// InformMeans on the host.
struct InformAnalysis {
  double self_weight;  ///< mean weight of a token on itself
  double neighbours;   ///< tokens that inform one on the (geometric) mean, itself included: exp H

  /// Whether tokens take over next to nothing from one another. NaN counts as such.
  [[nodiscard]] bool degenerate() const { return !(self_weight < .99 && neighbours > 1.05); }
  /// For people.
  [[nodiscard]] std::string text() const {
    return "weight on itself " + std::to_string(self_weight) + ", " + std::to_string(neighbours) +
           " tokens inform one" +
           (degenerate() ? ": routing is the base router's; raise the temperature or the deviation, or normalise" : "");
  }
};

/// The means on the host: waits for the device, where the backend is one.
template <Backend B, class T>
[[nodiscard]] InformAnalysis analyse(B& backend, const InformMeans<T>& means) {
  return {static_cast<double>(backend.value(means.self_weight.data)),
          std::exp(static_cast<double>(backend.value(means.entropy.data)))};
}

}  // namespace neuroinhib
