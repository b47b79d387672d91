#pragma once

#include <algorithm>
#include <span>
#include <string>

#include <neuroinhib/analysis/choices.hpp>

/// How much routing changes between two checkpoints (Mutual-Inform SMoE, section 5: routing fluctuation).
namespace neuroinhib {

/// What two checkpoints chose for the same tokens, added up over batches.
struct Fluctuation {
  double tokens = 0;    ///< that were compared
  double changed = 0;   ///< tokens whose set of experts differs
  double slots = 0;     ///< experts that the first checkpoint chose
  double replaced = 0;  ///< those of them that the second did not choose

  /// Adds other tokens.
  Fluctuation& operator+=(const Fluctuation& other) {
    tokens += other.tokens;
    changed += other.changed;
    slots += other.slots;
    replaced += other.replaced;
    return *this;
  }
  /// The share of tokens that switch one expert or more; 0 without tokens.
  [[nodiscard]] double share() const { return tokens > 0 ? changed / tokens : 0; }
  /// The share of choices that are replaced: what share() is for one expert a token; 0 without tokens.
  [[nodiscard]] double replaced_share() const { return slots > 0 ? replaced / slots : 0; }
};

/// Compares the experts that two checkpoints chose, each [tokens, chosen] on the host, as sets: their order does not
/// count. Tokens whose document is below zero are left out. Throws ShapeError and NumericError.
[[nodiscard]] inline Fluctuation fluctuation(const View<const int>& before, const View<const int>& after, Index experts,
                                             const View<const int>& document = {}) {
  if (before.rows() != after.rows())
    fail<ShapeError>("fluctuation", std::to_string(before.rows()) + " tokens, as before", std::to_string(after.rows()),
                     "route the same tokens with both checkpoints");
  const auto unchosen = [&](std::span<const int> some, std::span<const int> others) {
    return static_cast<double>(std::count_if(some.begin(), some.end(), [&](int k) {
      return k < experts && std::find(others.begin(), others.end(), k) == others.end();
    }));
  };
  const auto chosen = [&](std::span<const int> some) { return unchosen(some, {}); };
  Fluctuation sums;
  detail::for_each_choice("fluctuation", after, experts, document, [](Index, auto) {});
  detail::for_each_choice("fluctuation", before, experts, document, [&](Index token, std::span<const int> first) {
    const std::span second(after.data + token * after.cols(), static_cast<std::size_t>(after.cols()));
    const double replaced = unchosen(first, second);
    sums += {1, replaced > 0 || unchosen(second, first) > 0 ? 1.0 : 0.0, chosen(first), replaced};
  });
  return sums;
}

}  // namespace neuroinhib
