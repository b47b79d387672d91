#include "machine.hpp"

#include <neuroinhib/backend/cpu.hpp>

#include "has_cuda.hpp"

namespace papers {

std::string describe_machine(const Call& call) {
  if (!call.on_cuda())
    return neuroinhib::Cpu<float>({.threads = call.threads}).describe() +
           (call.ranks > 1 ? ", " + std::to_string(call.ranks) + " ranks" : "");
  if constexpr (kHasCuda)
    return describe_cuda(call);
  else
    neuroinhib::fail<neuroinhib::ConfigError>("--device", "cpu: this program was built without CUDA",
                                              "cuda:" + std::to_string(*call.cuda_device),
                                              "install the CUDA Toolkit and build again with -DNEUROINHIB_CUDA=ON");
}

}  // namespace papers
