// Uses the component mpi, as one rank.
#include <vector>

#include <neuroinhib/ops/collectives/cpu.hpp>
#include <neuroinhib/parallel/mpi.hpp>
#include <neuroinhib/parallel/ranks.hpp>

using namespace neuroinhib;

int main() {
  Mpi mpi;
  Ranks<Cpu<float>, Mpi> cpu(mpi);
  std::vector<float> one{1};
  return all_reduce(cpu, tensor(one, {1}))[0] == static_cast<float>(cpu.size()) ? 0 : 1;
}
