// Kernels beside the speed at which this machine copies memory: which of them wait for something else?
//   operations [threads]

#include <cstdio>
#include <cstdlib>
#include <limits>

#include "map.hpp"
#include "timing.hpp"

namespace {

using namespace bench;

constexpr Index kRows = 8192, kColumns = 1024, kRounds = 7;

/// The least of some rounds: the machine may be shared.
template <class Call>
double least_ms(const Call& call) {
  double least = std::numeric_limits<double>::infinity();
  for (Index round = 0; round < kRounds; ++round) {
    const auto start = Clock::now();
    call();
    least = std::min(least, milliseconds_since(start));
  }
  return least;
}

/// Prints an operation's times, and its traffic in GB/s and as a share of a copy's. Traffic is counted in passes over a
/// matrix [rows, columns], read or written.
class Table {
 public:
  Table(Cpu<float>& cpu, Tensors<Cpu<float>>& tensors) : cpu_(cpu), tensors_(tensors) {
    const auto x = tensors.make({kRows, kColumns}), y = tensors.make({kRows, kColumns});
    copy_ = 2 * gigabytes() / (1e-3 * least_ms([&] {
                                 cpu.parallel_blocks(x.size(), 1, 4096, [&](Index begin, Index end) {
                                   std::copy(x.data + begin, x.data + end, y.data + begin);
                                 });
                               }));
    std::printf(
        "%s, [%td, %td], copy %.1f GB/s\n| operation | forward ms | GB/s | of copy | backward ms | GB/s | of copy |\n"
        "|---|---:|---:|---:|---:|---:|---:|\n",
        cpu.describe().c_str(), kRows, kColumns, copy_);
  }

  template <class Op>
  void add(const char* name, const Op& op, double passes_forward, double passes_backward) const {
    std::printf("| %s |", name);
    print(passes_forward, least_ms([&] { forward(cpu_, op); }));
    if (passes_backward > 0)
      print(passes_backward, least_ms([&] {
              tensors_.clear();
              backward(cpu_, op);
            }));
    std::printf("\n");
  }

 private:
  static constexpr double gigabytes() { return 1e-9 * sizeof(float) * kRows * kColumns; }
  void print(double passes, double ms) const {
    const double rate = passes * gigabytes() / (1e-3 * ms);
    std::printf(" %.2f | %.1f | %.2f |", ms, rate, rate / copy_);
  }

  Cpu<float>& cpu_;
  Tensors<Cpu<float>>& tensors_;
  double copy_ = 0;
};

void run(int threads) {
  using namespace ops;
  Cpu<float> cpu({.threads = threads});
  Tensors<Cpu<float>> tensors(cpu);
  const Table table(cpu, tensors);
  const Shape all{kRows, kColumns}, one_row{1, kColumns}, one_column{kRows, 1};
  const auto x = tensors.make(all), other = tensors.make(all), y = tensors.make(all), kept = tensors.make(all);
  const auto row = tensors.make(one_row), row2 = tensors.make({kColumns}), row3 = tensors.make({kColumns});
  const auto column = tensors.make(one_column), column2 = tensors.make({kRows}), number = tensors.make({1});
  SequentialRandom random(1, 1);
  for (const auto& tensor : {x, other, kept})
    for (Index i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<float>(random.normal());
  for (Index i = 0; i < kRows; ++i) column[i] = column2[i] = 1;

  for (const auto kind : {Activation::relu, Activation::tanh, Activation::sigmoid, Activation::gelu, Activation::silu,
                          Activation::softplus, Activation::log_sigmoid})
    table.add(std::string(text_of(kind)).c_str(), Activate<float>{x, {}, y, kind}, 2, 3);
  for (const auto kind : {Activation::silu, Activation::gelu})
    table.add(("gated " + std::string(text_of(kind))).c_str(), Activate<float>{x, other, y, kind}, 3, 5);
  const GateTerm<float> each{other, true}, for_all{row, true};
  const GateTerm<float> both[]{each, for_all};
  table.add("gate", Gate<float>{x, kept, y, &each, 1, Bracket::inside}, 4, 5);
  table.add("gate of one row", Gate<float>{x, kept, y, &for_all, 1, Bracket::inside}, 3, 4);
  table.add("gate of both", Gate<float>{x, kept, y, both, 2, Bracket::inside}, 4, 5);
  table.add("gate of both, as printed", Gate<float>{x, kept, y, both, 2, Bracket::as_printed}, 4, 5);
  table.add("map: product", Map<float, Multiply, 2>{{}, {x, other}, y}, 3, 5);
  table.add("map: product with a row", Map<float, Multiply, 2>{{}, {x, row}, y}, 2, 3);
  table.add("map: product with a column", Map<float, Multiply, 2>{{}, {x, column}, y}, 2, 3);
  table.add("map: SiLU", Map<float, MappedSilu, 1>{{}, {x}, y}, 2, 3);
  table.add("sums of rows", Reduce<float, Plus>{{}, x, column, true}, 1, 1);
  table.add("sums of columns", Reduce<float, Plus>{{}, x, row, false}, 1, 1);
  table.add("largest of rows", Reduce<float, Maximum>{{}, x, column, true}, 1, 2);
  table.add("largest of columns", Reduce<float, Maximum>{{}, x, row, false}, 1, 2);
  auto winner = cpu.integers({kColumns});
  table.add("batch pool, max", BatchPool<float>{x, row, winner, Pooling::max, {}}, 1, 1);
  table.add("batch pool, mean", BatchPool<float>{x, row, {}, Pooling::mean, {}}, 1, 1);
  table.add("batch pool, rows", BatchPool<float>{x, y, {}, Pooling::row, {}}, 2, 2);
  const Tensor<float> inputs[]{x, other};
  table.add("sum of two", Sum<float>{inputs, 2, y}, 3, 4);
  table.add("scale", Scale<float>{x, y, 2.0f}, 2, 2);
  table.add("trained factor", LearnedScale<float>{x, number, y, 5.0f}, 2, 4);
  table.add("dropout", Dropout<float>{x, y, .1f, {1, 1, 1}}, 2, 2);
  table.add("noise", AddNoise<float>{x, other, y, {1, 1, 1}}, 3, 3);
  table.add("softmax", Softmax<float>{x, y}, 2, 3);
  table.add("layer norm", LayerNorm<float>{x, {}, {}, y, column, column2, 1e-5f}, 2, 3);
  table.add("layer norm, affine", LayerNorm<float>{x, row2, row3, y, column, column2, 1e-5f}, 2, 3);
  table.add("l2 normalise", L2Normalise<float>{x, column, y}, 2, 3);
  table.add("normalise", Normalise<float>{x, y}, 2, 4);
  auto ids = cpu.integers({kRows});
  for (Index i = 0; i < kRows; ++i) ids[i] = static_cast<int>(i * 37 % kColumns);
  table.add("cross-entropy", CrossEntropy<float>{x, kept, number, ids, x.rows()}, 2, 2);
  const auto words = tensors.make({kColumns, kColumns});
  table.add("embedding", Embedding<float>{words, {}, y, ids, kRows, 0, 1.0f}, 2, 3);
  // Of routing: one expert a token, tokens in order.
  const Index chosen = 2;
  const auto gates = tensors.make({kRows / chosen, chosen}), tokens = tensors.make({kRows / chosen, kColumns});
  RoutingPlan plan{64, cpu.integers({kRows / chosen, chosen}), cpu.integers({kRows}), cpu.integers({kRows}),
                   cpu.integers({65})};
  for (Index slot = 0; slot < kRows; ++slot) plan.expert[slot] = static_cast<int>(slot * 37 % 64);
  table.add("combine", Combine<float>{x, gates, tokens, plan}, 1.5, 2.5);
  const Index experts = 64, scored = kRows * kColumns / experts;
  const auto scores = x.reshaped({scored, experts}), probabilities = kept.reshaped({scored, experts});
  const auto load = tensors.make({experts}), log_sums = tensors.make({scored}), best = tensors.make({scored, chosen});
  table.add("z-loss of 64 experts", ZLoss<float>{scores, probabilities, log_sums, number, {}}, 2, 2);
  table.add("balance loss of 64 experts", BalanceLoss<float>{probabilities, load, number, {}}, 1, 1);
  table.add("top 2 of 64 experts", ops::TopM<float>{scores, {}, {}, cpu.integers({scored, chosen}), best}, 1, 1);
}

}  // namespace

int main(int argc, char** argv) {
  run(argc > 1 ? std::atoi(argv[1]) : 0);
}
