// Language models on the CPU: milliseconds per training step of the first paper's network, to be set against
// bench/peers/language_model_torch.py; whole forward passes of the second paper's, each router's time and memory
// against the one it decorates (Mutual-Inform SMoE, table 7); what a pass of the medium network remembers.
//   language_models [threads] [--only steps|passes|memory]

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "language_models.hpp"
#include "timing.hpp"

namespace {

using namespace bench;

[[nodiscard]] View<const int> view(const std::vector<int>& values) {
  return {values.data(), {static_cast<Index>(values.size())}};
}

template <class M>
void time_steps(const char* name, const Text& text, const typename M::Config& config, int threads) {
  M model(config);
  Parameters<float> parameters(model, 0);
  Adam<float> adam(parameters, {.learning_rate = 1e-3});
  Cpu<float> cpu({.threads = threads});
  std::vector<double> times;
  for (int i = 0; i < 10; ++i) {
    const auto start = Clock::now();
    Recording ex(cpu);
    ex.backward(model.loss(ex, view(text.ids), view(text.labels), {.length = text.length}).total);
    adam.step(cpu, parameters);
    times.push_back(milliseconds_since(start));
  }
  std::printf("step %-10s ms %.1f step memory %zu MiB\n", name, median(times), cpu.arena().peak_bytes() >> 20);
  std::fflush(stdout);
}

/// A model of one router; times one pass at a call.
template <class Router>
class Passes {
 public:
  Passes(const Text& text, int threads, Index blocks = 3, Index width = 128)
      : text_(text), model_(second_paper<M>(text, blocks, width)), parameters_(model_, 0), cpu_({.threads = threads}) {}

  void time_one() {
    const auto start = Clock::now();
    cpu_.begin_step();
    (void)model_.loss(cpu_, view(text_.ids), view(text_.labels), {.length = text_.length});
    times_.push_back(milliseconds_since(start));
  }
  [[nodiscard]] double milliseconds() const { return median(times_); }
  [[nodiscard]] std::size_t step_bytes() { return cpu_.arena().peak_bytes(); }
  [[nodiscard]] double mebibytes() {
    return static_cast<double>(step_bytes() + sizeof(float) * static_cast<std::size_t>(parameters_.size())) / (1 << 20);
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

/// In turns, so that what slows the machine for a while slows all three.
void time_passes(int threads) {
  const Text text(4, 256, 8500);
  Passes<LinearRouter> own(text, threads);
  Passes<SimilarityInform<LinearRouter>> similarity(text, threads);
  Passes<AttentionInform<LinearRouter>> attention(text, threads);
  for (int round = 0; round < 101; ++round) {
    own.time_one();
    similarity.time_one();
    attention.time_one();
  }
  tell("SMoE small", own, own);
  tell("SMoE small, similarity", similarity, own);
  tell("SMoE small, attention", attention, own);
}

void tell_memory(int threads) {
  const Text text(4, 512, 30000);
  Passes<SimilarityInform<LinearRouter>> medium(text, threads, 6, 352);
  medium.time_one();
  std::printf("pass SMoE medium, similarity: step memory %zu MiB\n", medium.step_bytes() >> 20);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Language models on the CPU");
  int threads = 0;
  std::string only;
  app.add_option("threads", threads, "default: all");
  app.add_option("--only", only, "steps, passes or memory (default: all)")
      ->check(CLI::IsMember({"steps", "passes", "memory"}));
  CLI11_PARSE(app, argc, argv);
  std::printf("# neuroinhib %s, %s\n", NEUROINHIB_VERSION, Cpu<float>({.threads = threads}).describe().c_str());
  if (only.empty() || only == "steps") {
    const Text text(256, 32, 8500);
    for_each_of_first_paper(text, [&]<class M>(const char* name, const typename M::Config& config) {
      time_steps<M>(name, text, config, threads);
    });
  }
  if (only.empty() || only == "passes") time_passes(threads);
  if (only.empty() || only == "memory") tell_memory(threads);
}
