// Milliseconds per training step of Table 1's rows (batch 128), to be set against PyTorch by bench/steps.
//   steps [--rows a,b] [--recipe paper|clean] [--threads N] [--repeats N]

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "network.hpp"

namespace {

using namespace mixed_numbers;
using Clock = std::chrono::steady_clock;

constexpr Index kBatch = 128, kImage = Sizes{}.image;

struct Timing {
  double median, least, most;
};

template <class Network>
Timing time_steps(Network& network, int threads, int repeats) {
  Parameters<float> parameters(network, 0);
  Cpu<float> cpu({.threads = threads});
  Adam<float> adam(parameters, {.learning_rate = 5e-5});
  std::vector<float> pixels(static_cast<std::size_t>(kBatch * kImage * kImage));
  std::vector<int> labels(static_cast<std::size_t>(kBatch));
  SequentialRandom random(0, 0);
  for (float& pixel : pixels) pixel = static_cast<float>(random.uniform());
  for (int& label : labels) label = static_cast<int>(random.integer(0, kClasses - 1));
  const auto step = [&] {
    Recording ex(cpu);
    const auto images = tensor(pixels, {kBatch, kImage, kImage, 1});
    const auto loss = network.loss(ex, network.logits(ex, images), {labels.data(), {kBatch}});
    ex.backward(loss);
    adam.step(cpu, parameters);
  };
  for (int warm = 0; warm < 3; ++warm) step();
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    const auto start = Clock::now();
    step();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.front(), times.back()};
}

double peak_mebibytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Milliseconds per training step of Table 1's rows");
  std::vector<std::string> rows;
  std::string recipe = "paper";
  int threads = 0, repeats = 30;
  app.add_option("--rows", rows, "rows (default: all)")->delimiter(',');
  app.add_option("--recipe", recipe)->check(CLI::IsMember({"paper", "clean"}));
  app.add_option("--threads", threads, "0: all processors");
  app.add_option("--repeats", repeats)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  if (rows.empty())
    for (const Row& row : kTable1) rows.emplace_back(row.name);

  std::printf("# neuroinhib %s, %s\n", NEUROINHIB_VERSION, Cpu<float>({.threads = threads}).describe().c_str());
  for (const std::string& row : rows) {
    const auto use = [&](auto& network) { return time_steps(network, threads, repeats); };
    const Timing t = recipe == "paper" ? with_network<PaperRecipe, float>(row, Sizes{}, use)
                                       : with_network<CleanRecipe, float>(row, Sizes{}, use);
    std::printf("steps %s %-9s ms/step median %.2f min %.2f max %.2f peak %.0f MiB\n", recipe.c_str(), row.c_str(),
                t.median, t.least, t.most, peak_mebibytes());
    std::fflush(stdout);
  }
}
