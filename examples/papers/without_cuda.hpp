#pragma once

#include <string>

#include <neuroinhib/core/error.hpp>

#include "call.hpp"

namespace papers {

/// What a program that was built without CUDA says to --device cuda:N. Throws ConfigError.
[[noreturn]] inline void refuse_cuda(const Call& call) {
  neuroinhib::fail<neuroinhib::ConfigError>("--device", "cpu: this program was built without CUDA",
                                            "cuda:" + std::to_string(*call.cuda_device),
                                            "install the CUDA Toolkit and build again with -DNEUROINHIB_CUDA=ON");
}

}  // namespace papers
