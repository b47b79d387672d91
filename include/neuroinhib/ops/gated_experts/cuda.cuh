#pragma once

#include <concepts>
#include <type_traits>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/gated_experts/cuda_blocks.cuh>
#include <neuroinhib/ops/gated_experts/cuda_epilogues.cuh>
#include <neuroinhib/ops/gated_experts/op.hpp>

/// Gated experts on Hopper. Forward: tokens' rows in bf16, gathered; gate and up in one product with f(gate) ⊙ up in
/// its epilogue, down, and the sum over a token's slots. Backward, from dy, x and the kept gate and up alone (the
/// formulas of SonicMoE, Guo et al. 2025): dy W_down with the gate's derivative in its epilogue, which also gives the
/// slots' factors' gradients; dx = dgate W_gate + dup W_up in one product; three products over the experts' rows for
/// the weights.
namespace neuroinhib::ops {

namespace gated {

using wgmma::Major;

inline constexpr int kScratch = 8 * 2 * Slab::kBytes;

template <int Columns, gemm::Source A, gemm::Pair Joined, Major MajorB>
using RowsPlan = gemm::PersistentPlan<Columns, A, Major::depth, MajorB, Joined, gemm::GroupsOf::rows, kScratch>;
template <int Columns, gemm::Source A>
using DepthPlan =
    gemm::PersistentPlan<Columns, A, Major::lines, Major::lines, gemm::Pair::none, gemm::GroupsOf::depth, 0>;

/// Numbers in bf16 of a step.
inline __nv_bfloat16* halves(std::uint16_t* numbers) {
  return reinterpret_cast<__nv_bfloat16*>(numbers);
}
template <std::same_as<Cuda<float>> B>
__nv_bfloat16* half_memory(B& cuda, Index count) {
  return cuda.template kernel_memory<__nv_bfloat16>(count);
}

/// A weight [experts, rows, columns] in bf16: the copy that is kept beside a parameter, or one for this operation.
template <std::same_as<Cuda<float>> B>
HalfMatrices weight_halves(B& cuda, const Tensor<float>& w) {
  return {cuda.halves_of(w), w.shape[0], w.shape[1], w.shape[2]};
}
inline HalfMatrices row_halves(const __nv_bfloat16* data, Index rows, Index columns) {
  return {data, 1, rows, columns};
}

/// Where a product's A comes from, by its type.
template <class A>
inline constexpr gemm::Source kSourceOf = gemm::Source::rows;
template <>
inline constexpr gemm::Source kSourceOf<gemm::TokenRows> = gemm::Source::tokens;

/// Calls use(a) with tokens' rows as the blocks have them: gathered in the load, or in a pass of its own. The load then
/// writes to shared memory in pieces, which costs a product some 6 %; where hidden rows are long, that is more than the
/// pass costs.
template <Activation kKind, class Use>
void with_rows(Cuda<float>& cuda, const GatedExperts<float, kKind>& op, const ExpertBlocks& blocks,
               const __nv_bfloat16* tokens, Index width, const Use& use) {
  constexpr Index kLongRow = 4096;
  if (op.width() < kLongRow)
    return use(gemm::TokenRows{tokens, static_cast<int>(width), blocks.slot, gemm::Divisor(op.plan.chosen())});
  const ArenaScope scope(cuda.device_arena());
  const Index rows = op.max_rows();
  __nv_bfloat16* const gathered = half_memory(cuda, rows * width);
  gather_rows(cuda, blocks, op.plan, rows, tokens, width, gathered);
  use(row_halves(gathered, rows, width));
}

/// What a plan reads its factors by: maps, or the tokens of A.
template <class P>
[[nodiscard]] typename P::Factors factors(Cuda<float>& cuda, const HalfMatrices& a0, const HalfMatrices& b0,
                                          const HalfMatrices& a1, const HalfMatrices& b1) {
  const auto map_a = [&](const HalfMatrices& m) { return cuda.tensor_map(m, P::A::kBoxRows); };
  const auto map_b = [&](const HalfMatrices& m) { return cuda.tensor_map(m, P::B::kBoxRows); };
  return {{map_a(a0), map_a(a1)}, {map_b(b0), map_b(b1)}, {}};
}
template <class P>
[[nodiscard]] typename P::Factors factors(Cuda<float>& cuda, const gemm::TokenRows& a, const HalfMatrices& b0,
                                          const gemm::TokenRows& /*a*/, const HalfMatrices& b1) {
  const auto map_b = [&](const HalfMatrices& m) { return cuda.tensor_map(m, P::B::kBoxRows); };
  return {{}, {map_b(b0), map_b(b1)}, a};
}

/// Tiles of groups that divide rows; depth along one pair of factors.
template <class P>
[[nodiscard]] gemm::TileOrder<gemm::GroupsOf::rows> row_tiles(const ExpertBlocks& blocks, Index experts, Index columns,
                                                              Index depth) {
  const auto count = [](Index extent, int size) { return static_cast<int>((extent + size - 1) / size); };
  return {blocks.offsets, static_cast<int>(experts), count(columns, P::kColumnsEach), 0,
          count(depth, gemm::kTileDepth) * (P::kPair == gemm::Pair::depth ? 2 : 1)};
}

/// Calls run(width) with the width of tiles that wastes the fewest columns, as a constant.
template <class Run>
void with_tile_width(Index columns, const Run& run) {
  const auto padded = [&](Index width) { return (columns + width - 1) / width * width; };
  if (padded(256) <= padded(176))
    run(std::integral_constant<int, 256>{});
  else
    run(std::integral_constant<int, 176>{});
}
/// Calls run(plan) with the plan of that width.
template <gemm::Source A, gemm::Pair Joined, Major MajorB, class Run>
void with_plan(Index columns, const Run& run) {
  with_tile_width(columns, [&](auto width) { run(RowsPlan<width, A, Joined, MajorB>{}); });
}

/// The gradient of a weight over each expert's rows: aᵀ b [experts, m, n], or its transpose where the weight lies so.
template <bool Transposed, class A>
void weight_gradient(Cuda<float>& cuda, const ExpertBlocks& blocks, const Tensor<float>& weight, const A& a, Index m,
                     const HalfMatrices& b) {
  const auto dw = weight.claim_gradient();
  if (!dw) return;
  const int rows = static_cast<int>(m), n = static_cast<int>(b.columns);
  with_tile_width(n, [&](auto width) {
    using Plan = DepthPlan<width, kSourceOf<A>>;
    const gemm::TileOrder<gemm::GroupsOf::depth> order{blocks.offsets, static_cast<int>(weight.shape[0]),
                                                       (n + width - 1) / width, rows, 0};
    gemm::run_persistent<Plan>(cuda, factors<Plan>(cuda, a, b, a, b), order,
                               StoreGradient<Transposed>{{}, dw, rows, n});
  });
}

}  // namespace gated

/// out [rows, out] = f(gate) ⊙ up, times W_down, in bf16; `kept`: where x, gate and up stay for the backward pass.
template <Activation kKind>
void forward_rows(Cuda<float>& cuda, const GatedExperts<float, kKind>& op, const ExpertBlocks& blocks,
                  __nv_bfloat16* out) {
  using namespace gated;
  const Index rows = op.max_rows(), width = op.width();
  const ArenaScope scope(cuda.device_arena());
  const bool keeps = op.hidden.x != nullptr;
  __nv_bfloat16* const x = keeps ? halves(op.hidden.x) : half_memory(cuda, op.x.size());
  __nv_bfloat16* const hidden = half_memory(cuda, rows * width);
  round_rows(cuda, op.x.data, op.x.size(), x);
  const int w = static_cast<int>(width);
  with_rows(cuda, op, blocks, x, op.in(), [&]<class A>(const A& a) {
    using Up = RowsPlan<256, kSourceOf<A>, gemm::Pair::columns, Major::depth>;
    gemm::run_persistent<Up>(cuda, factors<Up>(cuda, a, weight_halves(cuda, op.gate), a, weight_halves(cuda, op.up)),
                             row_tiles<Up>(blocks, op.plan.experts, width, op.in()),
                             GateAndUp<kKind>{{}, {halves(op.hidden.gate), w}, {halves(op.hidden.up), w}, {hidden, w}});
  });
  const HalfMatrices a = row_halves(hidden, rows, width), b = weight_halves(cuda, op.down);
  with_plan<gemm::Source::rows, gemm::Pair::none, Major::depth>(op.out(), [&]<class P>(P) {
    gemm::run_persistent<P>(cuda, factors<P>(cuda, a, b, a, b), row_tiles<P>(blocks, op.plan.experts, op.out(), width),
                            StoreHalves{{}, {out, static_cast<int>(op.out())}});
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
  sum_slots(cuda, blocks, op.plan, out, width, [=] __device__(Index slot) { return gates[slot]; }, {op.y.data, false});
}

/// From dy [rows, out]: gate and up become their gradients, `scaled` [rows, width] s · h; the gates' gradients.
template <Activation kKind, class Dy>
void through_gate(Cuda<float>& cuda, const GatedExperts<float, kKind>& op, const ExpertBlocks& blocks, const Dy& dy,
                  __nv_bfloat16* scaled) {
  using namespace gated;
  const Index rows = op.max_rows(), width = op.width();
  const int w = static_cast<int>(width);
  const ArenaScope scope(cuda.device_arena());
  const HalfMatrices down = weight_halves(cuda, op.down);
  int tiles = 0;
  float* partial = nullptr;  // of the gates' gradients, a tile's columns each
  with_plan<kSourceOf<Dy>, gemm::Pair::none, Major::lines>(width, [&]<class P>(P) {
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
  with_plan<gemm::Source::rows, gemm::Pair::depth, Major::lines>(width, [&]<class P>(P) {
    gemm::run_persistent<P>(cuda, factors<P>(cuda, dgate, gate, dup, up),
                            row_tiles<P>(blocks, op.plan.experts, width, op.width()),
                            StoreHalves{{}, {slots, static_cast<int>(width)}});
  });
  sum_slots(cuda, blocks, op.plan, slots, width, [] __device__(Index) { return 1.f; }, dx);
}

template <Activation kKind>
void backward(Cuda<float>& cuda, const GatedExperts<float, kKind>& op) {
  using namespace gated;
  const ArenaScope scope(cuda.device_arena());
  const Index rows = op.max_rows(), width = op.width();
  const ExpertBlocks blocks{op.hidden.offsets, op.hidden.slot, op.hidden.row};
  const HalfMatrices dgate = row_halves(halves(op.hidden.gate), rows, width),
                     dup = row_halves(halves(op.hidden.up), rows, width);
  {
    const ArenaScope of_down(cuda.device_arena());
    __nv_bfloat16 *const dy = half_memory(cuda, op.y.size()), *const scaled = half_memory(cuda, rows * width);
    round_rows(cuda, op.y.gradient, op.y.size(), dy);
    with_rows(cuda, op, blocks, dy, op.out(), [&](const auto& a) {
      through_gate(cuda, op, blocks, a, scaled);
      weight_gradient<false>(cuda, blocks, op.down, a, op.out(), row_halves(scaled, rows, width));
    });
  }
  with_rows(cuda, op, blocks, halves(op.hidden.x), op.in(), [&](const auto& a) {
    weight_gradient<true>(cuda, blocks, op.gate, a, op.in(), dgate);
    weight_gradient<true>(cuda, blocks, op.up, a, op.in(), dup);
  });
  input_gradients(cuda, op, blocks, dgate, dup);
}

}  // namespace neuroinhib::ops
