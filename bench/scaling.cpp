// What a step costs on several ranks, one thread each: bench/scaling starts it for 1, 2, 4, … of them. A language model
// whose batch is shared (gradients added up after the backward pass, or while it runs), a layer with spread experts,
// with and without a capacity, and attention of one long text. Prints rows of a Markdown table.
//   mpirun -n 2 scaling_ranks

#include <cstdio>
#include <functional>

#include <neuroinhib/neuroinhib.hpp>
#include <neuroinhib/parallel/mpi.hpp>
#include <neuroinhib/parallel/ranks.hpp>

#include "timing.hpp"

namespace {

using namespace bench;
using namespace neuroinhib;

using Many = Ranks<Cpu<float>, Mpi>;
using Layer = MoeLayer<LinearRouter, GluInhibition, TopM<2>, SwiGlu>;
using SpreadLayer = MoeLayer<LinearRouter, GluInhibition, TopM<2>, Spread<SwiGlu>>;
constexpr Index kWidth = 128, kExperts = 8, kLength = 64, kTexts = 16, kTokens = kTexts * kLength;
constexpr int kRounds = 9;

/// Milliseconds of a step, of the slowest rank, the median of some.
double time_of(Many& cpu, const std::function<void()>& step) {
  std::vector<double> times;
  for (int round = 0; round < kRounds; ++round) {
    cpu.begin_step();
    std::vector<float> took(1);
    (void)all_reduce(cpu, tensor(took, {1}));  // all begin together
    const auto start = Clock::now();
    step();
    took[0] = static_cast<float>(milliseconds_since(start));
    cpu.begin_step();
    times.push_back(static_cast<double>(all_reduce(cpu, tensor(took, {1}), Reduction::max)[0]));
  }
  return median(times);
}
void report(const Many& cpu, const char* what, Index tokens, double milliseconds) {
  if (cpu.rank() == 0)
    std::printf("| %s | %td | %.1f | %.0f |\n", what, cpu.size(), milliseconds,
                1e3 * static_cast<double>(tokens) / milliseconds);
}

/// One batch of texts, whatever the number of ranks.
void data_parallel(Many& cpu) {
  LanguageModel<Layer> model({.vocabulary = 512,
                              .positions = kLength,
                              .blocks = 4,
                              .block = {.width = kWidth, .heads = 4},
                              .moe = {.width = kWidth, .experts = kExperts, .hidden = {kWidth}}});
  Parameters<float> parameters(model, 1);
  Adam<float> adam(parameters, {}, shard_of(cpu, parameters));
  const Share share = cpu.share_batch(kTexts);
  std::vector<int> ids;
  for (Index i = share.begin * kLength; i < share.end * kLength; ++i) ids.push_back(static_cast<int>(i * 7 % 512));
  for (const bool meanwhile : {false, true}) {
    const double time = time_of(cpu, [&] {
      Recording ex(cpu);
      const auto loss = model.loss(ex, ids, ids, {.length = kLength}).total;
      if (meanwhile)
        backward_and_sum(ex, loss, parameters, {.bucket = Index{1} << 18});
      else
        ex.backward(loss);
      adam.step(cpu, parameters);
    });
    report(cpu, meanwhile ? "language model, sums meanwhile" : "language model, sums after", kTokens, time);
  }
}

void spread_experts(Many& cpu) {
  const Share share = cpu.share_batch(kTokens);
  std::vector<float> values(static_cast<std::size_t>(share.count() * kWidth));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  const auto measure = [&](const char* what, const auto& make) {
    auto layer = make();
    Parameters<float> parameters(layer, 1);
    Adam<float> adam(parameters, {});
    const double time = time_of(cpu, [&] {
      Recording ex(cpu);
      const auto y = layer.forward(ex, tensor(values, {share.count(), kWidth})).y;
      ex.backward(total(ex, multiply(ex, y, y)));
      adam.step(cpu, parameters);
    });
    report(cpu, what, kTokens, time);
  };
  measure("layer, experts on every rank",
          [] { return Layer({.width = kWidth, .experts = kExperts, .hidden = {4 * kWidth}}); });
  for (const double capacity : {0.0, 1.25})
    measure(capacity > 0 ? "layer, experts spread, capacity 1.25" : "layer, experts spread", [&] {
      return SpreadLayer({.width = kWidth,
                          .experts = kExperts,
                          .hidden = {4 * kWidth},
                          .expert = {.rank = cpu.rank(), .ranks = cpu.size(), .capacity = capacity}});
    });
}

void one_text(Many& cpu) {
  constexpr Index kLong = 4096;
  const Sequences sequences = spread_sequence(cpu, kLong);
  nn::Attention<float> attention(kWidth, 4);
  const Parameters<float> parameters(attention, 1);
  std::vector<float> values(static_cast<std::size_t>(sequences.rows() * kWidth));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  const double time = time_of(cpu, [&] {
    Recording ex(cpu);
    const auto y = attention(ex, tensor(values, {sequences.rows(), kWidth}), sequences).output;
    ex.backward(total(ex, multiply(ex, y, y)));
  });
  report(cpu, "attention of 4,096 tokens", kLong, time);
}

}  // namespace

int main() try {
  Mpi mpi;
  Many cpu(mpi, CpuOptions{.threads = 1});
  data_parallel(cpu);
  spread_experts(cpu);
  one_text(cpu);
} catch (const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
