#pragma once

#include <string>
#include <string_view>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {

/// Which tokens losses, loads and pools count: all, or all but padding.
template <class T>
struct CountedTokens {
  Tensor<T> marks{};  ///< [tokens + 1] 1 or 0 for each token, then their number, at least 1; none: all count

  /// Whether there are marks; without them all tokens count.
  [[nodiscard]] bool defined() const { return marks.defined(); }
  /// Whether that token counts.
  NEUROINHIB_DEVICE [[nodiscard]] bool operator()(Index token) const {
    return marks.data == nullptr || marks[token] > 0;
  }
  /// How many of `tokens` count.
  NEUROINHIB_DEVICE [[nodiscard]] T number(Index tokens) const {
    return marks.data == nullptr ? static_cast<T>(tokens) : marks[tokens];
  }
};

namespace ops {

/// marks[i] = 1, or 0 where the token's document or label is below zero; marks[tokens] = max(Σ, 1). document, label
/// [tokens] or none. y is undefined.
template <class T>
struct CountTokens {
  static constexpr const char* name = "count_tokens";
  View<const int> document, label;
  Tensor<T> marks, y;

  /// 1 where that token counts, else 0.
  NEUROINHIB_DEVICE [[nodiscard]] T mark(Index token) const {
    const bool padding =
        (document.data != nullptr && document[token] < 0) || (label.data != nullptr && label[token] < 0);
    return padding ? T{0} : T{1};
  }
};

}  // namespace ops

/// Throws ShapeError unless the marks are those of so many tokens.
template <class T>
void require_counted(std::string_view where, const CountedTokens<T>& counted, Index tokens) {
  if (counted.defined() && counted.marks.size() != tokens + 1)
    fail<ShapeError>(where, "marks of " + std::to_string(tokens) + " counted tokens",
                     std::to_string(counted.marks.size() - 1), "make them for this batch, with count_tokens()");
}

/// All tokens but padding: those whose document, or whose label, is below zero. Throws ShapeError.
template <Executor Ex>
[[nodiscard]] CountedTokens<ScalarOf<Ex>> count_tokens(Ex& ex, Index tokens, const View<const int>& document,
                                                       const View<const int>& label = {}) {
  for (const auto* numbers : {&document, &label})
    if (numbers->data != nullptr && numbers->size() != tokens)
      fail<ShapeError>("counted tokens", "a document and a label for each of " + std::to_string(tokens) + " tokens",
                       std::to_string(numbers->size()), "give one number a row, or none at all");
  if (document.data == nullptr && label.data == nullptr) return {};
  const auto marks = ex.tensor({tokens + 1}, false);
  ex.run(ops::CountTokens<ScalarOf<Ex>>{document, label, marks, {}});
  return {marks};
}

}  // namespace neuroinhib
