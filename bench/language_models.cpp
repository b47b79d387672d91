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

/// A model of one router; times one pass at a call.
template <class Router>
class Passes {
 public:
  Passes(const Text& text, int threads)
      : text_(text), model_(second_paper<M>(text, 3, 128)), parameters_(model_, 0), cpu_({.threads = threads}) {}

  void time_one() {
    const Shape shape{static_cast<Index>(text_.ids.size())};
    const auto start = Clock::now();
    cpu_.begin_step();
    (void)model_.loss(cpu_, View<const int>{text_.ids.data(), shape}, View<const int>{text_.labels.data(), shape},
                      {.length = text_.length});
    times_.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  /// Median without the first, which warms up.
  [[nodiscard]] double milliseconds() const {
    std::vector<double> times(times_.begin() + 1, times_.end());
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
  }
  [[nodiscard]] double mebibytes() {
    return static_cast<double>(cpu_.arena().peak_bytes() +
                               sizeof(float) * static_cast<std::size_t>(parameters_.size())) /
           (1 << 20);
  }

 private:
  using M = Model<Router, NoInhibition, 2>;
  const Text& text_;
  M model_;
  Parameters<float> parameters_;
  Cpu<float> cpu_;
  std::vector<double> times_;
};

template <class Router, class Base>
void tell(const char* name, Passes<Router>& passes, Passes<Base>& base) {
  std::printf("pass %-24s %8.2f ms, %8.2f MiB, ratios %.3f and %.4f\n", name, passes.milliseconds(), passes.mebibytes(),
              passes.milliseconds() / base.milliseconds(), passes.mebibytes() / base.mebibytes());
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 0;
  std::printf("# neuroinhib %s, %s\n", NEUROINHIB_VERSION, Cpu<float>({.threads = threads}).describe().c_str());
  const Text text(4, 256, 8500);
  Passes<LinearRouter> own(text, threads);
  Passes<SimilarityInform<LinearRouter>> similarity(text, threads);
  Passes<AttentionInform<LinearRouter>> attention(text, threads);
  for (int round = 0; round < 101; ++round) {  // in turns: what slows the machine for a while slows all three
    own.time_one();
    similarity.time_one();
    attention.time_one();
  }
  tell("SMoE small", own, own);
  tell("SMoE small, similarity", similarity, own);
  tell("SMoE small, attention", attention, own);
}
