#pragma once

#include <array>
#include <string_view>

namespace mixed_numbers {

/// A row of Table 1 and what the paper measured: test accuracy, mean and deviation over 5 initialisations.
struct Row {
  std::string_view name, title;
  double published, published_deviation;
};
inline constexpr std::array<Row, 8> kRows{{{"baseline", "Baseline model", .814, .017},
                                           {"moe", "MoE 3/5 experts", .923, .056},
                                           {"random25", "Random (dropout 0.25)", .949, .020},
                                           {"random50", "Random (dropout 0.5)", .951, .019},
                                           {"random75", "Random (dropout 0.75)", .959, .0081},
                                           {"glu", "One-layer I. (GLU)", .955, .0068},
                                           {"pretext", "Pre-text Inhibition", .966, .0023},
                                           {"global", "Global Inhibition", .967, .0034}}};

}  // namespace mixed_numbers
