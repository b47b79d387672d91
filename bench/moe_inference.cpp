// MoE layers at the shapes of known models, few tokens at a time: milliseconds with weights in float and in bf16, and
// what share of the speed at which this machine reads memory ("memory", GB/s) that is. Shapes too large for --gib get
// fewer experts.
//   moe_inference [--shapes a,b] [--batches 1,2] [--threads N] [--unit widened|avx512_bf16] [--gib N] [--repeats N]

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <map>
#include <neuroinhib/neuroinhib.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "timing.hpp"

namespace {

using namespace neuroinhib;

struct Shapes {
  const char* name;
  Index width, hidden, experts, chosen;

  [[nodiscard]] Index parameters_each() const { return 3 * width * hidden; }
};
constexpr Shapes kShapes[] = {{"mixtral", 4096, 14336, 8, 2},
                              {"qwen3-a3b", 2048, 768, 128, 8},
                              {"olmoe", 2048, 1024, 64, 8},
                              {"mi-medium", 352, 1408, 16, 2}};

struct Options {
  std::vector<std::string> shapes{"mixtral", "qwen3-a3b", "olmoe", "mi-medium"};
  std::vector<Index> batches{1, 2, 4, 8, 16, 32, 64};
  int threads = 0, repeats = 15;
  double gib = static_cast<double>(HostMemory::total() >> 30) / 2;
  Bf16Unit unit = fastest_bf16_unit();
};

/// More than any cache holds, to read: 1 GiB.
class Memory {
 public:
  explicit Memory(int threads) : cpu_({.threads = threads}) {}

  /// GB/s at which all threads together read it: the best of some rounds.
  [[nodiscard]] double read_speed() {
    double least = std::numeric_limits<double>::infinity();
    for (int round = 0; round < 5; ++round) {
      const auto start = bench::Clock::now();
      cpu_.parallel_blocks(kCount, 1, kBlock, [&](Index begin, Index end) {
        sums_[static_cast<std::size_t>(begin / kBlock)] =
            std::accumulate(numbers_.begin() + begin, numbers_.begin() + end, std::uint32_t{0});
      });
      least = std::min(least, bench::milliseconds_since(start));
    }
    return kCount * sizeof(std::uint32_t) / least / 1e6;
  }

 private:
  static constexpr Index kCount = Index{1} << 28, kBlock = Index{1} << 16;
  Cpu<float> cpu_;
  std::vector<std::uint32_t> numbers_ = std::vector<std::uint32_t>(kCount, 1);
  std::vector<std::uint32_t> sums_ = std::vector<std::uint32_t>(kCount / kBlock);
};

/// A pass over new tokens each time, so that weights come from memory; and the weights that a pass reads.
struct Pass {
  double milliseconds;
  Index weights;
};
template <class Layer>
Pass time_passes(const Layer& layer, const Shapes& s, Index batch, int repeats, const CpuOptions& options) {
  Cpu<float> cpu(options);
  std::vector<float> x(static_cast<std::size_t>(batch * s.width));
  std::vector<double> times;
  SequentialRandom random(batch, 1);
  Index busy = 0;
  for (int i = 0; i <= repeats; ++i) {
    for (float& value : x) value = static_cast<float>(random.normal());
    cpu.begin_step();
    const auto start = bench::Clock::now();
    const RoutingPlan plan = layer.forward(cpu, tensor(x, {batch, s.width})).routing.plan;
    times.push_back(bench::milliseconds_since(start));
    for (Index e = 0; e < plan.experts; ++e) busy += plan.offsets[e + 1] > plan.offsets[e];
  }
  return {bench::median(times), busy * s.parameters_each() / (repeats + 1)};
}

template <Index kChosen>
void measure(const Shapes& s, const Options& options, Memory& memory) {
  // In float a parameter and its gradient, in bf16 the rounded weight.
  constexpr double kBytesEach = 4 + 4 + 2;
  Index experts = s.experts;
  while (experts > kChosen && kBytesEach * static_cast<double>(experts * s.parameters_each()) > options.gib * (1 << 30))
    experts /= 2;
  MoeLayer<LinearRouter, NoInhibition, TopM<kChosen>, SwiGlu> layer(
      {.width = s.width, .experts = experts, .hidden = {s.hidden}});
  const Parameters<float> parameters(layer, 0);
  const Bf16Weights weights(parameters, options.unit);
  for (const Index batch : options.batches) {
    const auto time = [&](const Bf16Weights* used) {
      return time_passes(layer, s, batch, options.repeats, {.threads = options.threads, .bf16_weights = used});
    };
    const Pass in_float = time(nullptr), in_bf16 = time(&weights);
    const double megabytes = 2e-6 * static_cast<double>(in_bf16.weights), rate = megabytes / in_bf16.milliseconds;
    const double read = memory.read_speed();
    std::printf("inference %-10s experts %td of %td batch %td float %.3f ms bf16 %.3f ms ", s.name, experts, s.experts,
                batch, in_float.milliseconds, in_bf16.milliseconds);
    std::printf("MB %.1f GB/s %.1f memory %.1f share %.2f\n", megabytes, rate, read, rate / read);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("MoE layers of known shapes at few tokens: weights in float and in bf16, as a share of memory's speed");
  Options options;
  const std::map<std::string, Bf16Unit> units{{"widened", Bf16Unit::widened}, {"avx512_bf16", Bf16Unit::avx512_bf16}};
  app.add_option("--shapes", options.shapes, "default: all")->delimiter(',');
  app.add_option("--batches", options.batches, "default: 1,2,4,…,64")->delimiter(',')->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "0: all processors");
  app.add_option("--unit", options.unit, "default: the fastest here")->transform(CLI::CheckedTransformer(units));
  app.add_option("--gib", options.gib, "memory for a layer (default: half of the machine's)");
  app.add_option("--repeats", options.repeats)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  std::printf("# neuroinhib %s, %s, bf16: %s\n", NEUROINHIB_VERSION,
              Cpu<float>({.threads = options.threads}).describe().c_str(), text_of(options.unit).c_str());
  Memory memory(options.threads);
  for (const std::string& name : options.shapes)
    for (const Shapes& s : kShapes) {
      if (name != s.name) continue;
      if (s.chosen == 2)
        measure<2>(s, options, memory);
      else
        measure<8>(s, options, memory);
    }
}
