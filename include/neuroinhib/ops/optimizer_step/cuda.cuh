#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/optimizer_step/op.hpp>

namespace neuroinhib::ops {

/// The rule for the elements of piece `piece`, 16 bytes of each array, which travel as one.
template <class T, class Update>
__device__ void update_piece(const Update& op, Index piece, const typename Update::Rates& rates,
                             __nv_bfloat16* halves) {
  constexpr int kCount = sizeof(uint4) / sizeof(T);
  uint4 kept[Update::kKept];
#pragma unroll
  for (int i = 0; i < Update::kKept; ++i) kept[i] = reinterpret_cast<const uint4*>(op.kept[i])[piece];
  const uint4 gradient = reinterpret_cast<const uint4*>(op.gradient)[piece];
  Update here = op;
#pragma unroll
  for (int i = 0; i < Update::kKept; ++i) here.kept[i] = reinterpret_cast<T*>(&kept[i]);
  here.gradient = reinterpret_cast<const T*>(&gradient);
#pragma unroll
  for (int i = 0; i < kCount; ++i) here.apply(i, i + 1, rates);
#pragma unroll
  for (int i = 0; i < Update::kKept; ++i) reinterpret_cast<uint4*>(op.kept[i])[piece] = kept[i];
  if (halves == nullptr) return;
#pragma unroll
  for (int i = 0; i < kCount; ++i)
    halves[kCount * piece + i] = __float2bfloat16_rn(static_cast<float>(here.kept[0][i]));
}

/// The rates are the same for all elements: one thread a block works them out. Arrays begin at multiples of 16 bytes.
/// The last block to end raises the count, which all have read by then. `halves`: the values' copy in bf16, if one is
/// kept.
template <class T, class Update>
__global__ void __launch_bounds__(detail::kThreads)
    update_kernel(Update op, const CudaControl* control, __nv_bfloat16* halves) {
  detail::pdl_begin();
  __shared__ typename Update::Rates rates;
  UpdateCounter& counter = *op.step.counter;
  if (threadIdx.x == 0) rates = op.rates(counter.updates + 1, op.step.factor * control->learning_factor);
  __syncthreads();
  constexpr Index kCount = sizeof(uint4) / sizeof(T);
  const Index first = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x,
              stride = static_cast<Index>(gridDim.x) * blockDim.x, pieces = op.size / kCount;
  for (Index piece = first; piece < pieces; piece += stride) update_piece<T>(op, piece, rates, halves);
  for (Index i = pieces * kCount + first; i < op.size; i += stride) {
    op.apply(i, i + 1, rates);
    if (halves != nullptr) halves[i] = __float2bfloat16_rn(static_cast<float>(op.kept[0][i]));
  }
  if (threadIdx.x == 0 && atomicInc(&counter.blocks, gridDim.x - 1) == gridDim.x - 1) ++counter.updates;
}

template <class T, class Update>
void update_all(Cuda<T>& cuda, const Update& op) {
  const Index blocks = std::min<Index>((op.size + detail::kThreads - 1) / detail::kThreads,
                                       8 * static_cast<Index>(cuda.multiprocessors()));
  cuda.launch_pdl(dim3(static_cast<unsigned>(blocks)), dim3(detail::kThreads), 0, update_kernel<T, Update>, op,
                  cuda.control(), cuda.updated_halves(op.kept[0], op.size));
}

template <class T>
void forward(Cuda<T>& cuda, const AdamUpdate<T>& op) {
  update_all(cuda, op);
}

template <class T>
void forward(Cuda<T>& cuda, const SgdUpdate<T>& op) {
  update_all(cuda, op);
}

}  // namespace neuroinhib::ops
