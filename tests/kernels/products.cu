#include "kernels/cuda.cuh"

namespace neuroinhib::detail {
NEUROINHIB_PRODUCT_KERNELS(, Cuda, float)
NEUROINHIB_PRODUCT_KERNELS(, Cuda, double)
NEUROINHIB_GATED_KERNELS(, Cuda)
}  // namespace neuroinhib::detail
