#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include <neuroinhib/mix/top_m.hpp>

namespace neuroinhib {

/// Every expert takes the c·N/K tokens of a sequence that score best with it; a token keeps `Max` of its takers at the
/// most, gates are the probabilities (Zhou et al. 2022). Loads are even by construction. **Not causal**: whether a
/// token is taken depends on all others of its sequence, later ones too; a language model so routed sees the future
/// while it trains, and decoding is refused. Documents that share a sequence compete for its experts. Padding (a
/// document below zero) is not taken. Without sequences in the TokenContext the whole batch is one.
template <Index Max>
struct ExpertChoice {
  static_assert(Max >= 1, "ExpertChoice<Max> keeps at least one expert a token: Max >= 1");
  static constexpr bool kTakesProbabilities = true;
  struct Config {
    double capacity = 2;  ///< c: experts a token on average
  };

  template <class T>
  struct Module {
    Config config;  ///< as the layer was given

    /// Throws ConfigError unless the capacity is a positive number and Max experts exist.
    Module(const Config& options, const MixSizes& sizes) : config(options) {
      require_experts("expert choice", Max, sizes);
      require_option("expert choice", "capacity", options.capacity,
                     std::isfinite(options.capacity) && options.capacity > 0, "> 0",
                     "it is the number of experts a token has on average");
    }
    void visit(auto&&) {}
    /// Throws ConfigError while decoding, and for documents without the length of a sequence; ShapeError unless the
    /// rows are whole sequences.
    template <Executor Ex>
    [[nodiscard]] Routing<T> route(Ex& ex, const RouterOutput<T>& router, ScoreKind kind,
                                   const TokenContext<T>& context = {}) const {
      const Sequences& sequences = context.sequences;
      if (context.cache != nullptr || sequences.past > 0)
        fail<ConfigError>("expert choice", "whole texts", "tokens to decode",
                          "decode with a mix whose choices depend on the token alone, such as TopM");
      const auto probabilities = detail::to_probabilities(ex, router.scores, kind);
      const Index tokens = probabilities.rows(), experts = probabilities.cols();
      const bool one_sequence = sequences.length == 0 && sequences.document.data == nullptr;
      if (!alone(ex) && one_sequence)
        fail<ConfigError>("expert choice", "sequences that lie whole on one rank", "one sequence over all ranks",
                          "say in Sequences::length how long they are");
      if (!one_sequence) require_sequences("expert choice", sequences, tokens);
      const Index length = one_sequence ? tokens : sequences.length;
      const double share = config.capacity * static_cast<double>(length) / static_cast<double>(experts);
      const Index capacity = std::clamp<Index>(static_cast<Index>(std::ceil(share)), 1, length);
      const auto top =
          expert_choice(ex, probabilities, Max, length, capacity, count_tokens(ex, tokens, sequences.document));
      return {routing_plan(ex, top.expert, experts, true), top.value, probabilities, {}};
    }
  };
};

}  // namespace neuroinhib
