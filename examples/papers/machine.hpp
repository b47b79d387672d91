#pragma once

#include <string>

#include "call.hpp"

namespace papers {

/// What runs the call, for people to read. Throws ConfigError for a GPU where the program was built without CUDA, and
/// CudaError.
std::string describe_machine(const Call& call);
/// The same of a GPU, where the program was built with CUDA.
std::string describe_cuda(const Call& call);

}  // namespace papers
