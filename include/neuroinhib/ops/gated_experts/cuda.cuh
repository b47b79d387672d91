#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/gated_experts/cuda_blocks.cuh>
#include <neuroinhib/ops/gated_experts/cuda_epilogues.cuh>
#include <neuroinhib/ops/gated_experts/op.hpp>

/// Gated experts on Hopper. Forward: tokens' rows gathered in bf16, gate and up in one product with f(gate) ⊙ up in its
/// epilogue, down, and the sum over a token's slots. Backward, from dy, x and the kept gate and up alone (the formulas
/// of SonicMoE, Guo et al. 2025): dy W_down with the gate's derivative in its epilogue, which also gives the slots'
/// factors' gradients; dx = dgate W_gate + dup W_up in one product; three products over the experts' rows for the
/// weights.
namespace neuroinhib::ops {

namespace gated {

using wgmma::Major;

inline constexpr int kScratch = 8 * 2 * Slab::kBytes;

template <int Columns, gemm::Pair Joined, Major MajorB>
using RowsPlan = gemm::PersistentPlan<Columns, Major::depth, MajorB, Joined, gemm::GroupsOf::rows, kScratch>;
using DepthPlan = gemm::PersistentPlan<256, Major::lines, Major::lines, gemm::Pair::none, gemm::GroupsOf::depth, 0>;

/// Numbers in bf16 of a step.
inline __nv_bfloat16* halves(std::uint16_t* numbers) {
  return reinterpret_cast<__nv_bfloat16*>(numbers);
}
inline __nv_bfloat16* half_memory(Cuda<float>& cuda, Index count) {
  return cuda.kernel_memory<__nv_bfloat16>(count);
}

/// A weight [experts, rows, columns] in bf16: the copy that is kept beside a parameter, or one for this operation.
inline HalfMatrices weight_halves(Cuda<float>& cuda, const Tensor<float>& w) {
  return {cuda.halves_of(w), w.shape[0], w.shape[1], w.shape[2]};
}
inline HalfMatrices row_halves(const __nv_bfloat16* data, Index rows, Index columns) {
  return {data, 1, rows, columns};
}

/// The maps that a plan reads its factors by.
template <class P>
[[nodiscard]] typename P::Factors factors(Cuda<float>& cuda, const HalfMatrices& a0, const HalfMatrices& b0,
                                          const HalfMatrices& a1, const HalfMatrices& b1) {
  const auto map_a = [&](const HalfMatrices& m) { return cuda.tensor_map(m, P::A::kBoxRows); };
  const auto map_b = [&](const HalfMatrices& m) { return cuda.tensor_map(m, P::B::kBoxRows); };
  return {{map_a(a0), map_a(a1)}, {map_b(b0), map_b(b1)}};
}

/// Tiles of groups that divide rows; depth along one pair of factors.
template <class P>
[[nodiscard]] gemm::TileOrder<gemm::GroupsOf::rows> row_tiles(const ExpertBlocks& blocks, Index experts, Index columns,
                                                              Index depth) {
  const auto count = [](Index extent, int size) { return static_cast<int>((extent + size - 1) / size); };
  return {blocks.offsets, static_cast<int>(experts), count(columns, P::kColumnsEach), 0,
          count(depth, gemm::kTileDepth) * (P::kPair == gemm::Pair::depth ? 2 : 1)};
}

/// Calls run(plan) with the width of tiles that wastes the fewest columns.
template <gemm::Pair Joined, Major MajorB, class Run>
void with_plan(Index columns, const Run& run) {
  const auto padded = [&](Index width) { return (columns + width - 1) / width * width; };
  if (padded(256) <= padded(176))
    run(RowsPlan<256, Joined, MajorB>{});
  else
    run(RowsPlan<176, Joined, MajorB>{});
}

/// dw [experts, m, n] = aᵀ b over each expert's rows.
inline void weight_gradient(Cuda<float>& cuda, const ExpertBlocks& blocks, const Tensor<float>& weight,
                            const HalfMatrices& a, const HalfMatrices& b) {
  const auto dw = weight.claim_gradient();
  if (!dw) return;
  const int m = static_cast<int>(weight.shape[1]), n = static_cast<int>(weight.shape[2]);
  const gemm::TileOrder<gemm::GroupsOf::depth> order{blocks.offsets, static_cast<int>(weight.shape[0]),
                                                     (n + DepthPlan::kColumns - 1) / DepthPlan::kColumns, m, 0};
  gemm::run_persistent<DepthPlan>(cuda, factors<DepthPlan>(cuda, a, b, a, b), order, StoreGradient{dw, m, n});
}

}  // namespace gated

/// out [rows, out] = f(gate) ⊙ up, times W_down, in bf16; `kept`: where x, gate and up stay for the backward pass.
template <Activation kKind>
void forward_rows(Cuda<float>& cuda, const GatedExperts<float, kKind>& op, const ExpertBlocks& blocks,
                  __nv_bfloat16* out) {
  using namespace gated;
  using Up = RowsPlan<256, gemm::Pair::columns, Major::depth>;
  const Index rows = op.max_rows(), width = op.width();
  const ArenaScope scope(cuda.device_arena());
  const bool keeps = op.hidden.x != nullptr;
  __nv_bfloat16* const x = keeps ? halves(op.hidden.x) : half_memory(cuda, rows * op.in());
  __nv_bfloat16* const hidden = half_memory(cuda, rows * width);
  gather_rows(cuda, blocks, op.plan, rows, op.x.data, op.in(), x);
  const HalfMatrices inputs = row_halves(x, rows, op.in());
  const int w = static_cast<int>(width);
  gemm::run_persistent<Up>(cuda,
                           factors<Up>(cuda, inputs, weight_halves(cuda, op.gate), inputs, weight_halves(cuda, op.up)),
                           row_tiles<Up>(blocks, op.plan.experts, width, op.in()),
                           GateAndUp<kKind>{{halves(op.hidden.gate), w}, {halves(op.hidden.up), w}, {hidden, w}});
  const HalfMatrices a = row_halves(hidden, rows, width), b = weight_halves(cuda, op.down);
  with_plan<gemm::Pair::none, Major::depth>(op.out(), [&]<class P>(P) {
    gemm::run_persistent<P>(cuda, factors<P>(cuda, a, b, a, b), row_tiles<P>(blocks, op.plan.experts, op.out(), width),
                            StoreHalves{{out, static_cast<int>(op.out())}});
  });
}

template <Activation kKind>
void forward(Cuda<float>& cuda, const GatedExperts<float, kKind>& op) {
  const ArenaScope scope(cuda.device_arena());
  const Index rows = op.max_rows(), width = op.out();
  ExpertBlocks blocks{op.hidden.offsets, op.hidden.slot, op.hidden.row};
  if (blocks.offsets == nullptr)
    blocks = {cuda.kernel_memory<int>(op.plan.experts + 1), cuda.kernel_memory<int>(rows),
              cuda.kernel_memory<int>(op.plan.slots())};
  arrange_blocks(cuda, op.plan, rows, blocks);
  __nv_bfloat16* const out = gated::half_memory(cuda, rows * width);
  forward_rows(cuda, op, blocks, out);
  const float* gates = op.gates.data;
  float* y = op.y.data;
  sum_slots(
      cuda, blocks, op.plan, out, width, [=] __device__(Index slot) { return gates[slot]; },
      [=] __device__(Index token, Index c, const float(&sums)[8]) {
        float4* const place = reinterpret_cast<float4*>(y + token * width + c);
        place[0] = {sums[0], sums[1], sums[2], sums[3]};
        place[1] = {sums[4], sums[5], sums[6], sums[7]};
      });
}

/// From dy [rows, out]: gate and up become their gradients, `scaled` [rows, width] s · h; the gates' gradients.
template <Activation kKind>
void through_gate(Cuda<float>& cuda, const GatedExperts<float, kKind>& op, const ExpertBlocks& blocks,
                  const HalfMatrices& dy, __nv_bfloat16* scaled) {
  using namespace gated;
  const Index rows = op.max_rows(), width = op.width();
  const int w = static_cast<int>(width);
  const ArenaScope scope(cuda.device_arena());
  const HalfMatrices down = weight_halves(cuda, op.down);
  int tiles = 0;
  float* partial = nullptr;  // of the gates' gradients, a tile's columns each
  with_plan<gemm::Pair::none, Major::lines>(width, [&]<class P>(P) {
    const auto order = row_tiles<P>(blocks, op.plan.experts, width, op.out());
    tiles = order.column_tiles;
    partial = cuda.kernel_memory<float>(tiles * rows);
    gemm::run_persistent<P>(cuda, factors<P>(cuda, dy, down, dy, down), order,
                            ThroughGate<kKind>{{halves(op.hidden.gate), w},
                                               {halves(op.hidden.up), w},
                                               {scaled, w},
                                               partial,
                                               blocks.slot,
                                               op.gates.data,
                                               rows});
  });
  const auto dgates = op.gates.claim_gradient();
  if (!dgates) return;
  cuda.parallel_for(op.plan.slots(), [=] __device__(Index slot) {
    const int row = blocks.row[slot];
    float sum = 0;
    for (int tile = 0; row >= 0 && tile < tiles; ++tile) sum += partial[tile * rows + row];
    dgates.put(slot, sum);
  });
}

/// dx from the gradients of gate and up.
template <Activation kKind>
void input_gradients(Cuda<float>& cuda, const GatedExperts<float, kKind>& op, const ExpertBlocks& blocks,
                     const HalfMatrices& dgate, const HalfMatrices& dup) {
  using namespace gated;
  const auto dx = op.x.claim_gradient();
  if (!dx) return;
  const Index rows = op.max_rows(), width = op.in();
  const ArenaScope scope(cuda.device_arena());
  __nv_bfloat16* const slots = half_memory(cuda, rows * width);
  const HalfMatrices gate = weight_halves(cuda, op.gate), up = weight_halves(cuda, op.up);
  with_plan<gemm::Pair::depth, Major::lines>(width, [&]<class P>(P) {
    gemm::run_persistent<P>(cuda, factors<P>(cuda, dgate, gate, dup, up),
                            row_tiles<P>(blocks, op.plan.experts, width, op.width()),
                            StoreHalves{{slots, static_cast<int>(width)}});
  });
  sum_slots(
      cuda, blocks, op.plan, slots, width, [] __device__(Index) { return 1.f; },
      [=] __device__(Index token, Index c, const float(&sums)[8]) {
        for (int i = 0; i < 8; ++i) dx.put(token * width + c + i, sums[i]);
      });
}

template <Activation kKind>
void backward(Cuda<float>& cuda, const GatedExperts<float, kKind>& op) {
  using namespace gated;
  const ArenaScope scope(cuda.device_arena());
  const Index rows = op.max_rows(), width = op.width();
  const ExpertBlocks blocks{op.hidden.offsets, op.hidden.slot, op.hidden.row};
  const HalfMatrices x = row_halves(halves(op.hidden.x), rows, op.in());
  const HalfMatrices dgate = row_halves(halves(op.hidden.gate), rows, width),
                     dup = row_halves(halves(op.hidden.up), rows, width);
  {
    const ArenaScope of_down(cuda.device_arena());
    __nv_bfloat16 *const dy = half_memory(cuda, rows * op.out()), *const scaled = half_memory(cuda, rows * width);
    gather_rows(cuda, blocks, op.plan, rows, op.y.gradient, op.out(), dy);
    const HalfMatrices of_y = row_halves(dy, rows, op.out());
    through_gate(cuda, op, blocks, of_y, scaled);
    weight_gradient(cuda, blocks, op.down, of_y, row_halves(scaled, rows, width));
  }
  weight_gradient(cuda, blocks, op.gate, dgate, x);
  weight_gradient(cuda, blocks, op.up, dup, x);
  input_gradients(cuda, op, blocks, dgate, dup);
}

}  // namespace neuroinhib::ops
