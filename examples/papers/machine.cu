#include "cuda_options.cuh"
#include "machine.hpp"

namespace papers {

std::string describe_cuda(const Call& call) {
  return neuroinhib::Cuda<float>(cuda_options(call, 0)).describe();
}

}  // namespace papers
