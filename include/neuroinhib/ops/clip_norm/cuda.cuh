#pragma once

#include <cub/block/block_reduce.cuh>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/clip_norm/op.hpp>

namespace neuroinhib::ops {

/// store(block, Σ value(i)) over the `part` elements from block · part on, by one block each, in an order fixed by
/// `part`.
template <class Value, class Store>
__global__ void __launch_bounds__(detail::kThreads) sum_parts_kernel(Index size, Index part, Value value, Store store) {
  detail::pdl_begin();
  using Reduce = cub::BlockReduce<double, detail::kThreads>;
  __shared__ typename Reduce::TempStorage memory;
  const Index begin = static_cast<Index>(blockIdx.x) * part, end = min(size, begin + part);
  double sum = 0;
  for (Index i = begin + threadIdx.x; i < end; i += detail::kThreads) sum += value(i);
  sum = Reduce(memory).Sum(sum);
  if (threadIdx.x == 0) store(static_cast<Index>(blockIdx.x), sum);
}

/// A norm that is not finite is told by Cuda::check; norm and factor stay on the device.
template <class T>
void forward(Cuda<T>& cuda, const ClipNorm<T>& op) {
  const ArenaScope scope(cuda.device_arena());
  const Index parts = op.parts();
  double* sums = cuda.template kernel_memory<double>(parts);
  CudaControl* control = cuda.control();
  const auto add_up = [&](Index size, Index part, const auto& value, const auto& store) {
    cuda.launch_pdl(dim3(static_cast<unsigned>((size + part - 1) / part)), dim3(detail::kThreads), 0,
                    sum_parts_kernel<std::remove_cvref_t<decltype(value)>, std::remove_cvref_t<decltype(store)>>, size,
                    part, value, store);
  };
  add_up(
      op.size, op.kPart,
      [=] __device__(Index i) { return static_cast<double>(op.gradient[i]) * static_cast<double>(op.gradient[i]); },
      [=] __device__(Index part, double sum) { sums[part] = sum; });
  add_up(
      parts, parts, [=] __device__(Index part) { return sums[part]; },
      [=] __device__(Index, double sum) {
        *op.norm = sqrt(sum);
        if (!isfinite(*op.norm)) note_fault(control, CudaFault::gradient_not_finite, isnan(*op.norm), 0);
      });
  cuda.parallel_for(op.size, [=] __device__(Index i) {
    if (op.clips()) op.gradient[i] *= op.factor();
  });
}

}  // namespace neuroinhib::ops
