#pragma once

#include <neuroinhib/cuda.cuh>
#include <neuroinhib/neuroinhib.hpp>

#include "list.hpp"

namespace neuroinhib::detail {
NEUROINHIB_DECLARE_KERNELS(Cpu)
NEUROINHIB_DECLARE_KERNELS(Cuda)
NEUROINHIB_GATED_KERNELS(extern, Cuda)
}  // namespace neuroinhib::detail
