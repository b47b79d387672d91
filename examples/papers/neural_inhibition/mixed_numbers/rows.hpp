#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace mixed_numbers {

/// A row of Table 1 and what the paper measured: test accuracy, mean and deviation over 5 initialisations; zero for a
/// row that the paper does not have.
struct Row {
  std::string_view name, title;
  double published = 0, published_deviation = 0;

  [[nodiscard]] bool is_published() const { return published > 0; }
};
inline constexpr int kPublishedRuns = 5;
/// Table 1's, then those of other experiments.
inline constexpr std::array<Row, 10> kRows{{{"baseline", "Baseline model", .814, .017},
                                            {"moe", "MoE 3/5 experts", .923, .056},
                                            {"random25", "Random (dropout 0.25)", .949, .020},
                                            {"random50", "Random (dropout 0.5)", .951, .019},
                                            {"random75", "Random (dropout 0.75)", .959, .0081},
                                            {"glu", "One-layer I. (GLU)", .955, .0068},
                                            {"pretext", "Pre-text Inhibition", .966, .0023},
                                            {"posttext", "Post-text Inhibition"},
                                            {"global", "Global Inhibition", .967, .0034},
                                            {"all-to-all", "All-to-all Inhibition"}}};
inline constexpr std::span kTable1 = std::span(kRows).first<9>();

/// Of a name that is among them.
inline const Row& row_of(std::string_view name) {
  return *std::find_if(kRows.begin(), kRows.end(), [&](const Row& row) { return row.name == name; });
}

/// What the paper says of pairs of rows: experts help, each inhibition helps them, and the more diverse its connections
/// are, the more.
inline constexpr std::array<std::array<std::string_view, 2>, 10> kClaims{{{"moe", "baseline"},
                                                                          {"random25", "moe"},
                                                                          {"random50", "moe"},
                                                                          {"random75", "moe"},
                                                                          {"glu", "moe"},
                                                                          {"pretext", "moe"},
                                                                          {"global", "moe"},
                                                                          {"pretext", "glu"},
                                                                          {"global", "glu"},
                                                                          {"global", "pretext"}}};

}  // namespace mixed_numbers
