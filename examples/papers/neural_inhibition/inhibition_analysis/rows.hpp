#pragma once

#include <array>
#include <string_view>

namespace inhibition_analysis {

/// An inhibition with a gate; the name is that of its network in mixed_numbers.
struct Row {
  std::string_view name, title;
};
inline constexpr std::array<Row, 4> kRows{{{"glu", "One-layer I. (GLU)"},
                                           {"pretext", "Pre-text Inhibition"},
                                           {"posttext", "Post-text Inhibition"},
                                           {"global", "Global Inhibition"}}};

}  // namespace inhibition_analysis
