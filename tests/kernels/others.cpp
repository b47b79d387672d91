#include "kernels/cpu.hpp"

namespace neuroinhib::detail {
NEUROINHIB_OTHER_KERNELS(, Cpu, float)
NEUROINHIB_OTHER_KERNELS(, Cpu, double)
}  // namespace neuroinhib::detail
