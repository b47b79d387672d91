#include "kernels/cuda.cuh"

namespace neuroinhib::detail {
NEUROINHIB_ATTENTION_KERNELS(, Cuda, float)
NEUROINHIB_ATTENTION_KERNELS(, Cuda, double)
}  // namespace neuroinhib::detail
