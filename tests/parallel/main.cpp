#define DOCTEST_CONFIG_IMPLEMENT
#include "ranks.hpp"

/// Runs the cases on every rank. A rank that fails ends all.
int main(int argc, char** argv) {
  neuroinhib::Mpi mpi({.deadline = std::chrono::seconds(30)});
  testing::world() = &mpi;
  doctest::Context context(argc, argv);
  context.setOption("minimal", mpi.rank() > 0);
  const int result = context.run();
  std::cout.flush();
  if (result != 0) std::_Exit(result);
  return 0;
}
