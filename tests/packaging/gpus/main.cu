// Compiles and links the components mpi and nccl; with an argument, rank 0 of 1 uses them.
#include <neuroinhib/ops/collectives/cuda.cuh>
#include <neuroinhib/parallel/mpi.hpp>
#include <neuroinhib/parallel/nccl.cuh>
#include <neuroinhib/parallel/ranks.hpp>

using namespace neuroinhib;

int main(int argc, char**) {
  if (argc < 2) return 0;
  Mpi mpi;
  Nccl<Mpi> nccl(mpi);
  Ranks<Cuda<float>, Nccl<Mpi>> cuda(nccl, CudaOptions{.device = nccl.device()});
  const auto one = cuda.tensor({1}, false);
  cuda.fill(one.data, 1, 1.0f);
  const auto sum = all_reduce(cuda, one);
  nccl.wait(cuda);
  return cuda.value(sum.data) == 1 ? 0 : 1;
}
