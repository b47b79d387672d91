// Whole forward passes of the second paper's network on the CPU: each router's time and memory against the one it
// decorates (Mutual-Inform SMoE, table 7).
//   language_models [threads]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "language_models.hpp"

namespace {

using namespace bench;
using Clock = std::chrono::steady_clock;

struct Pass {
  double milliseconds, mebibytes;
};

template <class Router>
Pass time_pass(const char* name, const Text& text, int threads, const Pass* against) {
  using M = Model<Router, NoInhibition, 2>;
  M model(second_paper<M>(text, 3, 128));
  const Parameters<float> parameters(model, 0);
  Cpu<float> cpu({.threads = threads});
  const Shape shape{static_cast<Index>(text.ids.size())};
  std::vector<double> times;
  for (int i = 0; i < 12; ++i) {
    const auto start = Clock::now();
    cpu.begin_step();
    (void)model.loss(cpu, View<const int>{text.ids.data(), shape}, View<const int>{text.labels.data(), shape},
                     {.length = text.length});
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  times.erase(times.begin());  // the first warms up
  std::nth_element(times.begin(), times.begin() + 5, times.end());
  const Pass seen{times[5], static_cast<double>(cpu.arena().peak_bytes() +
                                                sizeof(float) * static_cast<std::size_t>(parameters.size())) /
                                (1 << 20)};
  std::printf("pass %-24s %8.1f ms, %8.1f MiB", name, seen.milliseconds, seen.mebibytes);
  if (against != nullptr)
    std::printf(", ratios %.3f and %.4f", seen.milliseconds / against->milliseconds,
                seen.mebibytes / against->mebibytes);
  std::printf("\n");
  return seen;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 0;
  std::printf("# neuroinhib %s, %s\n", NEUROINHIB_VERSION, Cpu<float>({.threads = threads}).describe().c_str());
  const Text text(4, 256, 8500);
  const Pass own = time_pass<LinearRouter>("SMoE small", text, threads, nullptr);
  (void)time_pass<SimilarityInform<LinearRouter>>("SMoE small, similarity", text, threads, &own);
  (void)time_pass<AttentionInform<LinearRouter>>("SMoE small, attention", text, threads, &own);
}
