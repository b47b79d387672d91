#pragma once

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib::ops {

/// norm = ‖gradient‖₂, summed in double, and gradient ← gradient · largest / (norm + 1e-6) where norm > largest, as
/// torch.nn.utils.clip_grad_norm_ does. A norm that is not finite leaves the gradient as it is and is an error. Arrays
/// [size] and [1]. Writes no tensor of the step and is not recorded.
template <class T>
struct ClipNorm {
  static constexpr const char* name = "clip_gradient_norm";
  static constexpr Index kPart = 16384;  ///< elements whose squares are added up first
  T* gradient;
  Index size;
  double largest;
  double* norm;

  /// Parts of kPart elements whose squares are summed apart.
  [[nodiscard]] Index parts() const { return (size + kPart - 1) / kPart; }
  /// Whether the norm is finite and too large.
  NEUROINHIB_DEVICE [[nodiscard]] bool clips() const { return *norm > largest && *norm - *norm == 0; }
  /// What the gradient is multiplied with.
  NEUROINHIB_DEVICE [[nodiscard]] T factor() const { return static_cast<T>(largest / (*norm + 1e-6)); }
};

}  // namespace neuroinhib::ops
