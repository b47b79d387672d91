#pragma once

#include <algorithm>
#include <cmath>

#include <neuroinhib/core/tensor.hpp>

/// Factors for the learning rate, by step (from 0).
namespace neuroinhib::schedule {

/// Linear rise over `warmup` steps, then 1.
[[nodiscard]] inline double warmup(Index step, Index warmup_steps) {
  return step < warmup_steps ? static_cast<double>(step + 1) / static_cast<double>(warmup_steps) : 1.0;
}

/// Linear rise, then a half cosine from 1 down to `floor` at `total_steps` (Loshchilov and Hutter 2017).
[[nodiscard]] inline double warmup_cosine(Index step, Index warmup_steps, Index total_steps, double floor = 0) {
  if (step < warmup_steps) return warmup(step, warmup_steps);
  const double span = static_cast<double>(std::max<Index>(total_steps - warmup_steps, 1));
  const double progress = std::min(1.0, static_cast<double>(step - warmup_steps) / span);
  return floor + (1 - floor) * 0.5 * (1 + std::cos(3.141592653589793 * progress));
}

}  // namespace neuroinhib::schedule
