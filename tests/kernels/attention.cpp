#include "kernels/cpu.hpp"

namespace neuroinhib::detail {
NEUROINHIB_ATTENTION_KERNELS(, Cpu, float)
NEUROINHIB_ATTENTION_KERNELS(, Cpu, double)
}  // namespace neuroinhib::detail
