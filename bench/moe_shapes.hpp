#pragma once

#include <neuroinhib/core/tensor.hpp>

namespace bench {

/// An MoE layer of a known model.
struct MoeShape {
  const char* name;
  neuroinhib::Index tokens, width, hidden, experts, chosen;

  /// Of the experts' products, forward.
  [[nodiscard]] double flops() const {
    return 2.0 * 3 * static_cast<double>(tokens * chosen) * static_cast<double>(width * hidden);
  }
};
inline constexpr MoeShape kMoeShapes[] = {{"mixtral", 8192, 4096, 14336, 8, 2},
                                          {"qwen3-a3b", 16384, 2048, 768, 128, 8},
                                          {"olmoe", 16384, 2048, 1024, 64, 8},
                                          {"mi-medium", 12288, 352, 1408, 16, 2}};

}  // namespace bench
