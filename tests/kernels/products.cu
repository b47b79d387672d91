#include "kernels/cuda.cuh"

namespace neuroinhib::detail {
NEUROINHIB_PRODUCT_KERNELS(, Cuda, float)
NEUROINHIB_PRODUCT_KERNELS(, Cuda, double)
}  // namespace neuroinhib::detail
