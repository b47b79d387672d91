#include "kernels/cuda.cuh"

namespace neuroinhib::detail {
NEUROINHIB_OTHER_KERNELS(, Cuda, float)
NEUROINHIB_OTHER_KERNELS(, Cuda, double)
}  // namespace neuroinhib::detail
