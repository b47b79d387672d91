// What is told when ranks part ways: faults <what>, on two ranks. Rank 1 does what is wrong.

#include <csignal>

#include <neuroinhib/neuroinhib.hpp>
#include <neuroinhib/parallel/mpi.hpp>
#include <neuroinhib/parallel/ranks.hpp>

int main(int argc, char** argv) {
  using namespace neuroinhib;
  const std::string what = argc > 1 ? argv[1] : "";
  try {
    const bool second = launch().rank == 1;
    Mpi mpi({.deadline = std::chrono::seconds(what == "killed" ? 60 : 2),
             .configuration = what == "configuration" && second ? "width 8" : "width 4"});
    Ranks<Cpu<float>, Mpi> cpu(mpi);
    std::vector<float> numbers(what == "size" && second ? 8 : 4, 1.0f);
    for (int step = 0; step < 100; ++step) {
      cpu.begin_step();
      if (step == 50 && second && what == "hang") raise(SIGSTOP);
      if (step == 50 && second && what == "killed") raise(SIGKILL);
      if (step == 50 && second && what == "exception") throw Error("rank 1: a label out of range");
      (void)all_reduce(cpu, tensor(numbers, {static_cast<Index>(numbers.size())}));
    }
    std::printf("done\n");
  } catch (const Error& error) {
    std::printf("error: %s\n", error.what());
    std::fflush(stdout);
    return 1;
  }
}
