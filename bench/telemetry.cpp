// What telemetry costs at its default sampling: training steps with it against steps without, hundred by hundred in
// turn.
// Processor time of one thread, which busy neighbours disturb little.
//   telemetry [--blocks N]     hundreds of steps of each kind

#include <neuroinhib/io/telemetry.hpp>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

#include "timing.hpp"

namespace {

using namespace neuroinhib;

constexpr Index kLength = 32, kVocabulary = 500;

/// A language model's training, a step at a time.
template <class Router, class Telemetry>
class Training {
 public:
  using Layer = MoeLayer<Router, GluInhibition, TopM<2>, Mlp<Relu>, Cpu<float>, Telemetry>;

  Training(Index width, Index sequences, const typename Telemetry::Config& telemetry)
      : model_(config(width, telemetry)), cpu_({.threads = 1}) {
    SequentialRandom random(0, 0);
    for (Index i = 0; i < sequences * kLength; ++i)
      words_.push_back(static_cast<int>(random.integer(0, kVocabulary - 1)));
  }
  void step() {
    Recording ex(cpu_);
    ex.backward(model_.loss(ex, words_, words_, {.length = kLength}).total);
    adam_.step(cpu_, parameters_);
  }

 private:
  static auto config(Index width, const typename Telemetry::Config& telemetry) {
    typename LanguageModel<Layer>::Config c{.vocabulary = kVocabulary, .positions = kLength, .blocks = 2};
    c.block = {.width = width, .heads = 4};
    c.moe = {.width = width, .experts = 8, .hidden = {2 * width}, .telemetry = telemetry};
    return c;
  }

  LanguageModel<Layer> model_;
  Parameters<float> parameters_{model_, 1};
  Adam<float> adam_{parameters_, {}};
  Cpu<float> cpu_;
  std::vector<int> words_;
};

template <class Router>
void compare(const char* name, Index width, Index sequences, int blocks) {
  const auto path = std::filesystem::temp_directory_path() / "neuroinhib_bench.telemetry";
  io::TelemetryWriter writer(path);
  Training<Router, NoTelemetry> plain(width, sequences, {});
  Training<Router, io::Telemetry> watched(width, sequences, {&writer, "block"});
  std::uint64_t number = 0;
  std::vector<double> without, with, recorded, ratios;
  const auto time = [](const auto& action) {
    const std::clock_t start = std::clock();
    action();
    return 1e3 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  for (int block = 0; block <= blocks; ++block) {
    without.push_back(time([&] {
      for (int i = 0; i < 100; ++i) plain.step();
    }));
    const double first = time([&] { writer.step(number++, [&] { watched.step(); }); });
    recorded.push_back(first - without.back() / 100);
    with.push_back(first + time([&] {
                     for (int i = 1; i < 100; ++i) writer.step(number++, [&] { watched.step(); });
                   }));
    ratios.push_back(with.back() / without.back());
  }
  const double step = bench::median(without) / 100, extra = bench::median(recorded);
  std::printf(
      "telemetry %-10s width %3td, %4td tokens: step %7.3f ms, a recorded one %6.3f ms more: %+.2f %%; measured %+.2f "
      "%%\n",
      name, width, sequences * kLength, step, extra, extra / step, 100 * (bench::median(ratios) - 1));
  std::filesystem::remove(path);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What telemetry costs at its default sampling");
  int blocks = 9;
  app.add_option("--blocks", blocks)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  std::printf("# neuroinhib %s, %s\n", NEUROINHIB_VERSION, Cpu<float>({.threads = 1}).describe().c_str());
  for (const Index width : {32, 128}) {
    compare<LinearRouter>("linear", width, 8, blocks);
    compare<SimilarityInform<LinearRouter>>("similarity", width, 8, blocks);
  }
}
