#pragma once

#include <array>
#include <optional>

namespace vision {

/// A row of table 2: what informs the routing, and what the paper printed.
struct Row {
  const char *name, *title;
  std::array<std::optional<double>, 4> published;  ///< accuracy on ImageNet-1k, -R, -A and -C, in percent
};

/// Mutual-Inform SMoE, table 2. Its appendix C.2 says that the layers of both kinds alternate.
inline constexpr std::array<Row, 4> kRows{{{"baseline", "V-MoE", {72.71, 35.42, 5.27, 48.72}},
                                           {"similarity", "Similarity-Inform V-MoE", {73.21, 36.58, 5.60, 50.45}},
                                           {"attention", "Attention-Inform V-MoE", {73.33, 36.66, 6.78, 50.85}},
                                           {"alternating", "Attention- and Similarity-Inform in turn", {}}}};

}  // namespace vision
