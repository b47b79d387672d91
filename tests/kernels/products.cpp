#include "kernels/cpu.hpp"

namespace neuroinhib::detail {
NEUROINHIB_PRODUCT_KERNELS(, Cpu, float)
NEUROINHIB_PRODUCT_KERNELS(, Cpu, double)
}  // namespace neuroinhib::detail
