#pragma once

#include <neuroinhib/neuroinhib.hpp>

#include "list.hpp"

namespace neuroinhib::detail {
NEUROINHIB_DECLARE_KERNELS(Cpu)
}  // namespace neuroinhib::detail
