#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/update/op.hpp>

namespace neuroinhib::ops {

/// The rates are the same for all elements: one thread a block works them out.
template <class Update>
__global__ void __launch_bounds__(detail::kThreads)
    update_kernel(Update op, const CudaControl* control, std::uint64_t counted) {
  detail::take_turn();
  __shared__ typename Update::Rates rates;
  if (threadIdx.x == 0) {
    const Index since = static_cast<Index>(control->step - counted);
    rates = op.rates({op.step.number + since, op.step.factor * control->learning_factor, nullptr});
  }
  __syncthreads();
  const Index stride = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; i < op.size; i += stride)
    op.apply(i, i + 1, rates);
}

/// The number of an update in a captured step follows the device's count of steps.
template <class T, class Update>
void update_all(Cuda<T>& cuda, const Update& op) {
  const Index blocks = std::min<Index>((op.size + detail::kThreads - 1) / detail::kThreads,
                                       8 * static_cast<Index>(cuda.multiprocessors()));
  cuda.launch_early(dim3(static_cast<unsigned>(blocks)), dim3(detail::kThreads), 0, update_kernel<Update>, op,
                    cuda.control(), cuda.count_update(op.step.counter));
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
