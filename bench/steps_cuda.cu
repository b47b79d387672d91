// Milliseconds per training step of Table 1's rows (batch 128) on a GPU, one by one and captured, to be set against
// PyTorch by bench/gpu_all.
//   steps_cuda [--rows a,b] [--recipe paper|clean] [--precision tf32|bf16|strict] [--routing strict|tf32] [--once]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "network.hpp"
#include "options.cuh"

namespace {

using namespace mixed_numbers;
using Clock = std::chrono::steady_clock;

constexpr Index kBatch = 128, kImage = Sizes{}.image;
constexpr int kStepsPerGraph = 10, kLooks = 15;

struct Options {
  CudaOptions cuda;
  bool once = false;  ///< a few steps, for a profiler
};

struct Timing {
  double eager, graph, mebibytes;
};

/// Median milliseconds of a step, `steps` of which are one call.
template <class Call>
double median_step(Cuda<float>& cuda, int calls, int steps, const Call& call) {
  std::vector<double> times;
  for (int look = 0; look <= kLooks; ++look) {
    cuda.check();
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    cuda.check();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count() / (calls * steps));
  }
  times.erase(times.begin());  // the first warms up
  std::nth_element(times.begin(), times.begin() + kLooks / 2, times.end());
  return times[kLooks / 2];
}

template <class Network>
Timing time_steps(Network& network, const Options& options) {
  Cuda<float> cuda(options.cuda);
  Parameters<float> parameters(network, 0, cuda.space());
  Adam<float> adam(parameters, {.learning_rate = 5e-5});
  std::vector<float> pixels(static_cast<std::size_t>(kBatch * kImage * kImage));
  std::vector<int> chosen(static_cast<std::size_t>(kBatch));
  SequentialRandom random(0, 0);
  for (float& pixel : pixels) pixel = static_cast<float>(random.uniform());
  for (int& label : chosen) label = static_cast<int>(random.integer(0, kClasses - 1));
  Storage<float> images(cuda.space());
  Storage<int> labels(cuda.space());
  images.assign(pixels.data(), static_cast<Index>(pixels.size()));
  labels.assign(chosen.data(), kBatch);
  const auto step = [&] {
    Recording ex(cuda);
    Tensor<float> batch;
    batch.data = images.data();
    batch.shape = {kBatch, kImage, kImage, 1};
    const auto loss = network.loss(ex, network.logits(ex, batch), View<int>{labels.data(), {kBatch}});
    ex.backward(loss);
    adam.step(cuda, parameters);
  };
  for (int i = 0; i < 3; ++i) step();
  if (options.once) return {};
  const CudaGraph graph = cuda.capture(step, kStepsPerGraph);
  return {median_step(cuda, 50, 1, step), median_step(cuda, 20, kStepsPerGraph, [&] { cuda.replay(graph); }),
          static_cast<double>(cuda.peak_bytes() + 4 * sizeof(float) * static_cast<std::size_t>(parameters.size())) /
              (1 << 20)};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Milliseconds per training step of Table 1's rows on a GPU");
  std::vector<std::string> rows;
  std::string recipe = "paper";
  Options options;
  app.add_option("--rows", rows, "rows (default: all)")->delimiter(',');
  app.add_option("--recipe", recipe)->check(CLI::IsMember({"paper", "clean"}));
  add_precisions(app, options.cuda);
  app.add_flag("--once", options.once, "a few steps and no times, for a profiler");
  CLI11_PARSE(app, argc, argv);
  if (rows.empty())
    for (const Row& row : kTable1) rows.emplace_back(row.name);

  std::printf("# neuroinhib %s, %s\n", NEUROINHIB_VERSION, Cuda<float>(options.cuda).describe().c_str());
  for (const std::string& row : rows) {
    const auto use = [&](auto& network) { return time_steps(network, options); };
    const Timing t = recipe == "paper" ? with_network<PaperRecipe, float>(row, Sizes{}, use)
                                       : with_network<CleanRecipe, float>(row, Sizes{}, use);
    std::printf("steps %s %-9s ms/step eager %.4f graph %.4f peak %.0f MiB\n", recipe.c_str(), row.c_str(), t.eager,
                t.graph, t.mebibytes);
    std::fflush(stdout);
  }
}
