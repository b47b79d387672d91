#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/clip_norm/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const ClipNorm<T>& op) {
  const ArenaScope scope(cpu.arena());
  double* sums = cpu.template kernel_memory<double>(op.parts());
  cpu.parallel_blocks(op.size, 1, op.kPart, [&](Index begin, Index end) {
    double sum = 0;
    for (Index i = begin; i < end; ++i)
      sum += static_cast<double>(op.gradient[i]) * static_cast<double>(op.gradient[i]);
    sums[begin / op.kPart] = sum;
  });
  double total = 0;
  for (Index part = 0; part < op.parts(); ++part) total += sums[part];
  *op.norm = std::sqrt(total);
  if (!std::isfinite(*op.norm))
    fail<NumericError>(
        "gradient clipping", "finite gradients", "norm " + std::to_string(*op.norm),
        "call ex.require_finite(loss, where) before backward(): it names the operation; or lower the learning rate");
  if (!op.clips()) return;
  const T factor = op.factor();
  cpu.parallel_blocks(op.size, 1, op.kPart, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) op.gradient[i] *= factor;
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
