#pragma once

#include <concepts>

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
template <std::same_as<Cuda<float>> B>
void arrange_blocks(B& cuda, const RoutingPlan& plan, Index max_rows, const ExpertBlocks& blocks) {
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

/// Eight numbers in bf16, which device memory takes in one access of 16 bytes.
struct alignas(16) EightHalves {
  unsigned pairs[4];  ///< the first number in the lower half

  __device__ static EightHalves read(const __nv_bfloat16* from) {
    return __builtin_bit_cast(EightHalves, *reinterpret_cast<const uint4*>(from));
  }
  __device__ void write(__nv_bfloat16* to) const { *reinterpret_cast<uint4*>(to) = __builtin_bit_cast(uint4, *this); }
  __device__ static EightHalves of(const float (&numbers)[8]) {
    EightHalves eight;
#pragma unroll
    for (int i = 0; i < 4; ++i) eight.set(i, numbers[2 * i], numbers[2 * i + 1]);
    return eight;
  }
  __device__ float2 pair(int i) const {
    return {__uint_as_float(pairs[i] << 16), __uint_as_float(pairs[i] & 0xffff0000u)};
  }
  __device__ void set(int i, float first, float second) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
    pairs[i] = *reinterpret_cast<const unsigned*>(&pair);
  }
  __device__ void add_to(float (&sums)[8], float factor) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      sums[2 * i] += factor * pair(i).x;
      sums[2 * i + 1] += factor * pair(i).y;
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

/// Stores eight floats, in two writes where their address allows; adds them to what is there where `add`.
__device__ inline void write_eight_floats(float* target, bool aligned, bool add, const float (&numbers)[8]) {
  float before[8] = {};
  if (add) read_eight_floats(target, aligned, before);
  if (aligned) {
    float4* const place = reinterpret_cast<float4*>(target);
    place[0] = {before[0] + numbers[0], before[1] + numbers[1], before[2] + numbers[2], before[3] + numbers[3]};
    place[1] = {before[4] + numbers[4], before[5] + numbers[5], before[6] + numbers[6], before[7] + numbers[7]};
  } else {
    for (int i = 0; i < 8; ++i) target[i] = before[i] + numbers[i];
  }
}

/// Rounds `count` numbers, a multiple of 8, to bf16.
template <std::same_as<Cuda<float>> B>
void round_rows(B& cuda, const float* source, Index count, __nv_bfloat16* target) {
  const bool aligned = reinterpret_cast<std::uintptr_t>(source) % 16 == 0;
  cuda.parallel_for(count / 8, [=] __device__(Index piece) {
    float numbers[8];
    read_eight_floats(source + 8 * piece, aligned, numbers);
    EightHalves::of(numbers).write(target + 8 * piece);
  });
}

/// rows [max_rows, width]: the tokens' rows, of tokens [tokens, width], that the blocks stand for, zeros in rows of no
/// slot.
template <std::same_as<Cuda<float>> B>
void gather_rows(B& cuda, const ExpertBlocks& blocks, const RoutingPlan& plan, Index max_rows,
                 const __nv_bfloat16* tokens, Index width, __nv_bfloat16* rows) {
  const gemm::Divisor chosen(plan.chosen());
  const int* used = blocks.offsets + plan.experts;
  cuda.parallel_grid(max_rows, width / 8, [=] __device__(Index row, Index piece) {
    if (row >= *used) return;
    const int slot = blocks.slot[row];
    EightHalves numbers{};
    if (slot >= 0)
      numbers = EightHalves::read(tokens + static_cast<Index>(chosen.divide(static_cast<unsigned>(slot))) * width +
                                  8 * piece);
    numbers.write(rows + row * width + 8 * piece);
  });
}

/// Σ_slots factor(slot) · rows[row of the slot] of each token, rows [max_rows, width] in bf16, to target [tokens,
/// width].
template <class Factor>
void sum_slots(Cuda<float>& cuda, const ExpertBlocks& blocks, const RoutingPlan& plan, const __nv_bfloat16* rows,
               Index width, const Factor& factor, const GradientSlot<float>& target) {
  const Index chosen = plan.chosen();
  const bool aligned = reinterpret_cast<std::uintptr_t>(target.data) % 16 == 0;
  cuda.parallel_grid(plan.tokens(), width / 8, [=] __device__(Index token, Index piece) {
    float sums[8] = {};
#pragma unroll 2
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot)
      if (const int row = blocks.row[slot]; row >= 0)
        EightHalves::read(rows + row * width + 8 * piece).add_to(sums, factor(slot));
    write_eight_floats(target.data + token * width + 8 * piece, aligned, target.add, sums);
  });
}

}  // namespace neuroinhib::ops
