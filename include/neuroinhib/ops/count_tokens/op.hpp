#pragma once

#include <string>
#include <string_view>

#include <neuroinhib/ops/collectives/op.hpp>

namespace neuroinhib {

/// Which tokens losses, loads and pools count: all, or all but padding.
template <class T>
struct CountedTokens {
  Tensor<T> marks{};  ///< [tokens + 1] 1 or 0 for each token, then the number of ones, of all ranks; none: all count

  /// Whether there are marks; without them all tokens count.
  [[nodiscard]] bool defined() const { return marks.defined(); }
  /// Whether that token counts.
  NEUROINHIB_DEVICE [[nodiscard]] bool operator()(Index token) const {
    return marks.data == nullptr || marks[token] > 0;
  }
  /// How many of `tokens`, or of all ranks' tokens, count; at least 1.
  NEUROINHIB_DEVICE [[nodiscard]] T number(Index tokens) const {
    if (marks.data == nullptr) return static_cast<T>(tokens);
    return marks[tokens] > 1 ? marks[tokens] : T{1};
  }
};

namespace ops {

/// marks[i] = 1, or 0 where the token's document or label is below zero; marks[tokens] = Σ. document, label
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

namespace detail {

/// The place of the marks' number.
template <class T>
[[nodiscard]] Tensor<T> number_of(Tensor<T> marks) {
  marks.data += marks.size() - 1;
  marks.shape = {1};
  return marks;
}

/// Marks of `tokens` that all count, `all` of all ranks.
template <class Ex>
[[nodiscard]] CountedTokens<ScalarOf<Ex>> all_counted(Ex& ex, Index tokens, Index all) {
  const auto marks = ex.tensor({tokens + 1}, false);
  ex.backend().fill(marks.data, tokens, 1);
  ex.backend().fill(marks.data + tokens, 1, static_cast<ScalarOf<Ex>>(all));
  return {marks};
}

}  // namespace detail

/// All tokens but padding: those whose document, or whose label, is below zero. Throws ShapeError.
template <Executor Ex>
[[nodiscard]] CountedTokens<ScalarOf<Ex>> count_tokens(Ex& ex, Index tokens, const View<const int>& document,
                                                       const View<const int>& label = {}) {
  for (const auto* numbers : {&document, &label})
    if (numbers->data != nullptr && numbers->size() != tokens)
      fail<ShapeError>("counted tokens", "a document and a label for each of " + std::to_string(tokens) + " tokens",
                       std::to_string(numbers->size()), "give one number a row, or none at all");
  if (document.data == nullptr && label.data == nullptr)
    return alone(ex) ? CountedTokens<ScalarOf<Ex>>{} : detail::all_counted(ex, tokens, share_of(ex, tokens).total);
  const auto marks = ex.tensor({tokens + 1}, false);
  ex.run(ops::CountTokens<ScalarOf<Ex>>{document, label, marks, {}});
  detail::all_reduce_in_place(ex, detail::number_of(marks));
  return {marks};
}

namespace detail {

/// What `counted` says of so many tokens; on one of several ranks, where it says nothing, that all of them count.
/// Throws ShapeError for the marks of another batch.
template <class Ex>
[[nodiscard]] CountedTokens<ScalarOf<Ex>> counted_of(Ex& ex, std::string_view where,
                                                     const CountedTokens<ScalarOf<Ex>>& counted, Index tokens) {
  if (!counted.defined()) return count_tokens(ex, tokens, {});
  if (counted.marks.size() != tokens + 1)
    fail<ShapeError>(where, "marks of " + std::to_string(tokens) + " counted tokens",
                     std::to_string(counted.marks.size() - 1), "make them for this batch, with count_tokens()");
  return counted;
}

}  // namespace detail
}  // namespace neuroinhib
