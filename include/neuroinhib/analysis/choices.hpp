#pragma once

#include <span>
#include <string>
#include <string_view>

#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib::detail {

/// Calls visit(token, experts) for each token of expert [tokens, chosen] that is not padding: whose number in
/// `document` [tokens], where there is one, is not below zero. A slot without an expert holds the number of experts.
/// Throws ShapeError for extents that do not fit, NumericError for other numbers than those of experts, before any
/// visit.
template <class Visit>
void for_each_choice(std::string_view where, const View<const int>& expert, Index experts,
                     const View<const int>& document, const Visit& visit) {
  require_rows(where, expert.shape);
  if (document.data != nullptr && document.size() != expert.rows())
    fail<ShapeError>(where, "a number for each of " + std::to_string(expert.rows()) + " tokens",
                     std::to_string(document.size()), "pass the numbers of this batch");
  for (const int k : expert)
    if (k < 0 || k > experts)
      fail<NumericError>(where, "experts from 0 to " + std::to_string(experts - 1), std::to_string(k),
                         "pass the plan's experts, and the number of experts of that layer");
  for (Index token = 0; token < expert.rows(); ++token)
    if (document.data == nullptr || document[token] >= 0)
      visit(token, std::span(expert.data + token * expert.cols(), static_cast<std::size_t>(expert.cols())));
}

}  // namespace neuroinhib::detail
