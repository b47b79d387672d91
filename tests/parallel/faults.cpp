// What is told when ranks part ways: faults <what>, on two ranks. Rank 1 does what is wrong.
// faults train <file>: says so, trains, saves after each step, and goes on from the file where there is one.

#include <csignal>
#include <cstdio>

#include <neuroinhib/io/ranks.hpp>
#include <neuroinhib/neuroinhib.hpp>
#include <neuroinhib/parallel/mpi.hpp>
#include <neuroinhib/parallel/ranks.hpp>

namespace {

using namespace neuroinhib;

void train(Mpi& mpi, const std::string& file) {
  constexpr Index kRows = 8, kWidth = 6;
  Ranks<Cpu<float>, Mpi> cpu(mpi, CpuOptions{.seed = 5});
  MoeLayer<LinearRouter, PosttextInhibition, TopM<2>, Mlp<Tanh>> layer({.width = kWidth, .experts = 4, .hidden = {5}});
  Parameters<float> parameters(layer, 1);
  Adam<float> adam(parameters, {}, shard_of(cpu, parameters));
  if (std::filesystem::exists(file)) (void)io::load_checkpoint(cpu, file, parameters, adam, "train");
  std::printf("training\n");
  std::fflush(stdout);
  while (cpu.random().step < 40) {
    std::vector<float> values;
    std::vector<int> labels;
    const Share share = cpu.share_batch(kRows);
    for (Index i = share.begin * kWidth; i < share.end * kWidth; ++i)
      values.push_back(std::sin(static_cast<float>(i + static_cast<Index>(cpu.random().step))));
    for (Index i = share.begin; i < share.end; ++i) labels.push_back(static_cast<int>(i % kWidth));
    Recording ex(cpu);
    ex.backward(cross_entropy(ex, layer.forward(ex, tensor(values, {share.count(), kWidth})).y, labels));
    adam.step(cpu, parameters);
    io::save_checkpoint(cpu, file, parameters, adam, {"train", ""});
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  try {
    const bool second = launch().rank == 1;
    Mpi mpi({.deadline = std::chrono::seconds(what == "killed" ? 60 : 2),
             .configuration = what == "configuration" && second ? "width 8" : "width 4"});
    if (what == "train") {
      train(mpi, argv[2]);
      return 0;
    }
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
