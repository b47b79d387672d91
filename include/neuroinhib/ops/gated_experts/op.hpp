#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include <neuroinhib/ops/activation/op.hpp>
#include <neuroinhib/ops/combine/op.hpp>
#include <neuroinhib/ops/grouped_linear/op.hpp>

namespace neuroinhib {
namespace ops {

/// What a gated expert's backward pass reads beside its inputs, in step memory: numbers in bf16, hidden rows in blocks
/// of 64 an expert (ExpertBlocks in cuda_blocks.cuh).
struct GatedHidden {
  std::uint16_t *x = nullptr, *gate = nullptr, *up = nullptr;  ///< the inputs; f's argument; its factor
  /// where experts begin, and of each place its slot and its row of the blocks
  int *offsets = nullptr, *slot = nullptr, *row = nullptr;
};

/// y[i] = Σ_m gates[i, m] · down[e] (f(gate[e] x[i]) ⊙ up[e] x[i]), e = plan.expert[i, m]: gated experts (Shazeer 2020)
/// and their weighted sum in one operation, so that hidden numbers stay in bf16. x [tokens, in],
/// gate, up [experts, hidden, in], down [experts, out, hidden], gates [tokens, chosen], y [tokens, out]; widths are
/// multiples of 8.
template <class T, Activation kKind>
struct GatedExperts {
  static constexpr const char* name = "gated_experts";
  static constexpr Activation kind = kKind;  ///< f
  Tensor<T> x, gate, up, down, gates, y;
  RoutingPlan plan;
  GatedHidden hidden;

  [[nodiscard]] Index in() const { return gate.shape[2]; }
  /// Columns of a hidden row.
  [[nodiscard]] Index width() const { return gate.shape[1]; }
  [[nodiscard]] Index out() const { return down.shape[1]; }
  /// The most rows that blocks of 64 an expert can take; experts without a token take none.
  [[nodiscard]] Index max_rows() const { return plan.slots() + 63 * std::min(plan.experts, plan.slots()); }
};

}  // namespace ops

/// The parameters of gated experts: gate, up [experts, hidden, in], down [experts, out, hidden].
template <class T>
struct GatedWeights {
  const Tensor<T>&gate, &up, &down;
};

/// Executors whose backend has gated experts as one operation, where multiplies_halves() says so.
template <class Ex>
concept FusesGatedExperts = requires(Ex& ex) { ex.backend().multiplies_halves(); };

/// Whether weights of these widths can be multiplied there.
template <class T>
[[nodiscard]] bool whole_pieces(const GatedWeights<T>& w) {
  constexpr Index kPiece = 8;
  return w.gate.shape[2] % kPiece == 0 && w.gate.shape[1] % kPiece == 0 && w.down.shape[1] % kPiece == 0;
}
/// Throws ShapeError unless whole_pieces().
template <class T>
void require_whole_pieces(const GatedWeights<T>& w) {
  if (whole_pieces(w)) return;
  fail<ShapeError>("gated experts", "widths in multiples of 8",
                   "in = " + std::to_string(w.gate.shape[2]) + ", hidden = " + std::to_string(w.gate.shape[1]) +
                       ", out = " + std::to_string(w.down.shape[1]),
                   "round them up, or call the experts' combined(), which takes any width");
}

/// The weighted sum of each token's gated experts, in one operation, for widths of whole_pieces(). Throws ConfigError
/// on a backend that does not have it, and ShapeError.
template <Activation kKind, FusesGatedExperts Ex>
[[nodiscard]] TensorOf<Ex> gated_experts(Ex& ex, const TensorOf<Ex>& x, const GatedWeights<ScalarOf<Ex>>& w,
                                         const TensorOf<Ex>& gates, const RoutingPlan& plan) {
  if (!ex.backend().multiplies_halves())
    fail<ConfigError>("gated experts", "a Hopper GPU, Precision::bf16 and a program compiled for sm_90a",
                      ex.backend().describe(), "call the experts' combined(), which runs their layers on any backend");
  for (const auto* weight : {&w.gate, &w.up, &w.down}) require_memory(ex, "gated experts", *weight);
  require_space(ex, "gated experts", x);
  require_rows("gated experts", x.shape);
  require_expert_weight("gated experts' gate", "hidden", x.cols(), w.gate.shape, plan);
  require_shape("gated experts' up", w.gate.shape, w.up.shape, "give gate and up the same shape");
  require_expert_weight("gated experts' down", "out", w.gate.shape[1], w.down.shape, plan);
  require_whole_pieces(w);
  require_shape("gated experts' gates", plan.expert.shape, gates.shape, "pass one gate a slot of the plan");
  if (x.rows() != plan.tokens())
    fail<ShapeError>("gated experts", std::to_string(plan.tokens()) + " rows", x.shape.text(),
                     "pass the batch that the plan was made for");
  auto y = ex.tensor({plan.tokens(), w.down.shape[1]}, any_wants_gradient(x, w.gate, w.up, w.down, gates));
  ops::GatedExperts<ScalarOf<Ex>, kKind> op{x, w.gate, w.up, w.down, gates, y, plan, {}};
  if (y.wants_gradient()) {
    auto& backend = ex.backend();
    const Index rows = op.max_rows();
    op.hidden = {backend.template kernel_memory<std::uint16_t>(x.size()),
                 backend.template kernel_memory<std::uint16_t>(rows * op.width()),
                 backend.template kernel_memory<std::uint16_t>(rows * op.width()),
                 backend.template kernel_memory<int>(plan.experts + 1),
                 backend.template kernel_memory<int>(rows),
                 backend.template kernel_memory<int>(plan.slots())};
  }
  ex.run(op);
  return y;
}

}  // namespace neuroinhib
