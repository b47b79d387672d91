#pragma once

#include <neuroinhib/backend/cuda.cuh>

#include "call.hpp"

namespace papers {

/// The GPU that a call names, as it wants it.
inline neuroinhib::CudaOptions cuda_options(const Call& call, Index seed) {
  using neuroinhib::Precision;
  return {.device = *call.cuda_device,
          .seed = static_cast<std::uint64_t>(seed),
          .precision = call.precision == "bf16"     ? Precision::bf16
                       : call.precision == "strict" ? Precision::strict
                                                    : Precision::tf32};
}

}  // namespace papers
