#pragma once

#include <neuroinhib/cuda.cuh>

#include "list.hpp"

namespace neuroinhib::detail {
NEUROINHIB_DECLARE_KERNELS(Cuda)
}  // namespace neuroinhib::detail
