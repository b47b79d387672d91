#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/gemm/cuda_maps.cuh>
#include <neuroinhib/ops/routing_plan/op.hpp>

/// Experts' rows in blocks of 64: each expert's begin at a multiple of 64, and rows of zeros fill its last block. Tiles
/// of products then end with an expert's rows, and sums over an expert's rows need no mask.
namespace neuroinhib::ops {

struct ExpertBlocks {
  static constexpr int kRows = 64;

  int* offsets;  ///< [experts + 1] where each expert's rows begin, multiples of kRows
  int* slot;     ///< [rows] the slot of each row, −1 where there is none
  int* row;      ///< [slots] the row of each slot, −1 where no expert serves it
};

/// Works the plan's blocks out, on the device.
inline void arrange_blocks(Cuda<float>& cuda, const RoutingPlan& plan, Index max_rows, const ExpertBlocks& blocks) {
  const int experts = static_cast<int>(plan.experts);
  cuda.parallel_for(detail::kWarp, [=] __device__(Index index) {
    const int lane = static_cast<int>(index);
    int before = 0;
    for (int first = 0; first < experts; first += detail::kWarp) {
      const int e = first + lane;
      const int count = e < experts ? plan.offsets[e + 1] - plan.offsets[e] : 0;
      const int padded = (count + ExpertBlocks::kRows - 1) / ExpertBlocks::kRows * ExpertBlocks::kRows;
      int up_to = padded;
      for (int step = 1; step < detail::kWarp; step *= 2) {
        const int other = __shfl_up_sync(0xffffffffu, up_to, step);
        if (lane >= step) up_to += other;
      }
      if (e < experts) blocks.offsets[e] = before + up_to - padded;
      before += __shfl_sync(0xffffffffu, up_to, detail::kWarp - 1);
    }
    if (lane == 0) blocks.offsets[experts] = before;
  });
  cuda.parallel_for(max_rows, [=] __device__(Index r) {
    const int row = static_cast<int>(r);
    int low = 0, high = experts;  // the last expert whose rows begin at or before this one
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (blocks.offsets[middle] <= row ? low : high) = middle;
    }
    const int place = plan.offsets[low] + row - blocks.offsets[low];
    const bool used = row < blocks.offsets[experts] && place < plan.offsets[low + 1];
    const int slot = used ? plan.order[place] : -1;
    blocks.slot[row] = slot;
    if (used) blocks.row[slot] = row;
  });
  if (!plan.partial) return;
  cuda.parallel_for(plan.slots(), [=] __device__(Index place) {
    if (place >= plan.offsets[experts]) blocks.row[plan.order[place]] = -1;
  });
}

/// Eight numbers in bf16.
struct alignas(16) EightHalves {
  __nv_bfloat162 pairs[4];

  __device__ static EightHalves of(const float (&numbers)[8]) {
    EightHalves eight;
#pragma unroll
    for (int i = 0; i < 4; ++i) eight.pairs[i] = __floats2bfloat162_rn(numbers[2 * i], numbers[2 * i + 1]);
    return eight;
  }
  __device__ void add_to(float (&sums)[8], float factor) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 pair = __bfloat1622float2(pairs[i]);
      sums[2 * i] += factor * pair.x;
      sums[2 * i + 1] += factor * pair.y;
    }
  }
};

/// Eight floats, in two reads where their address allows.
__device__ inline void read_eight_floats(const float* source, bool aligned, float (&numbers)[8]) {
  if (aligned) {
    const float4 low = reinterpret_cast<const float4*>(source)[0], high = reinterpret_cast<const float4*>(source)[1];
    numbers[0] = low.x, numbers[1] = low.y, numbers[2] = low.z, numbers[3] = low.w;
    numbers[4] = high.x, numbers[5] = high.y, numbers[6] = high.z, numbers[7] = high.w;
  } else {
    for (int i = 0; i < 8; ++i) numbers[i] = source[i];
  }
}

/// rows [max_rows, width] in bf16: the tokens' rows of x [tokens, width] that the blocks stand for, zeros in rows of no
/// slot; width a multiple of 8.
inline void gather_rows(Cuda<float>& cuda, const ExpertBlocks& blocks, const RoutingPlan& plan, Index max_rows,
                        const float* x, Index width, __nv_bfloat16* rows) {
  const bool aligned = reinterpret_cast<std::uintptr_t>(x) % 16 == 0;
  const gemm::Divisor chosen(plan.chosen());
  const int* used = blocks.offsets + plan.experts;
  cuda.parallel_grid(max_rows, width / 8, [=] __device__(Index row, Index piece) {
    if (row >= *used) return;
    const int slot = blocks.slot[row];
    float numbers[8] = {};
    if (slot >= 0)
      read_eight_floats(x + static_cast<Index>(chosen.divide(static_cast<unsigned>(slot))) * width + 8 * piece, aligned,
                        numbers);
    reinterpret_cast<EightHalves*>(rows + row * width)[piece] = EightHalves::of(numbers);
  });
}

/// store(token, column, eight sums) of Σ_slots factor(slot) · rows[row of the slot], rows [max_rows, width] in bf16.
template <class Factor, class Store>
void sum_slots(Cuda<float>& cuda, const ExpertBlocks& blocks, const RoutingPlan& plan, const __nv_bfloat16* rows,
               Index width, const Factor& factor, const Store& store) {
  const Index chosen = plan.chosen();
  cuda.parallel_grid(plan.tokens(), width / 8, [=] __device__(Index token, Index piece) {
    float sums[8] = {};
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot)
      if (const int row = blocks.row[slot]; row >= 0)
        reinterpret_cast<const EightHalves*>(rows + row * width)[piece].add_to(sums, factor(slot));
    store(token, 8 * piece, sums);
  });
}

}  // namespace neuroinhib::ops
