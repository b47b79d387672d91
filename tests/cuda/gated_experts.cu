// Gated experts in one operation, in bf16, against the CPU's three layers in double; and the copies of their weights.

#include "cuda/support.cuh"

using namespace testing;

namespace {

struct Sizes {
  const char* name;
  Index tokens, experts, in, hidden, out, chosen;
  std::vector<Index> counts{};  ///< tokens an expert, where chosen is 1
};

/// Numbers as bf16 has them, so that both sides multiply the same factors.
Numbers rounded(Numbers values) {
  for (double& value : values)
    value = static_cast<double>(__bfloat162float(__float2bfloat16_rn(static_cast<float>(value))));
  return values;
}
Numbers rounded_numbers(Index count, std::uint32_t stream, double deviation) {
  const RandomStream random{11, 0, stream};
  Numbers values(static_cast<std::size_t>(count));
  for (Index i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = deviation * random.normal<double>(i);
  return rounded(std::move(values));
}

Numbers scores_of(const Sizes& s) {
  const RandomStream random{12, 0, 1};
  Numbers scores(static_cast<std::size_t>(s.tokens * s.experts));
  for (Index i = 0; i < s.tokens * s.experts; ++i)
    scores[static_cast<std::size_t>(i)] = static_cast<double>(static_cast<float>(.5 + .1 * random.normal<double>(i)));
  Index token = 0;
  for (std::size_t e = 0; e < s.counts.size(); ++e)
    for (Index i = 0; i < s.counts[e]; ++i) scores[static_cast<std::size_t>(token++ * s.experts) + e] = 2;
  return scores;
}

/// y and the gradients of scores, x and weights.
template <class B>
std::vector<Numbers> outcome(B& backend, const Sizes& s, bool fused) {
  const double scale_in = 1 / std::sqrt(static_cast<double>(s.in)),
               scale = 1 / std::sqrt(static_cast<double>(s.hidden));
  Kept<B> scores({s.tokens, s.experts}, scores_of(s)), x({s.tokens, s.in}, rounded_numbers(s.tokens * s.in, 2, 1)),
      gate({s.experts, s.hidden, s.in}, rounded_numbers(s.experts * s.hidden * s.in, 3, scale_in)),
      up({s.experts, s.hidden, s.in}, rounded_numbers(s.experts * s.hidden * s.in, 4, scale_in)),
      down({s.experts, s.out, s.hidden}, rounded_numbers(s.experts * s.out * s.hidden, 5, scale)),
      weight(Shape{s.tokens * s.out}, rounded(weights(s.tokens * s.out)));
  Recording ex(backend);
  const auto top = top_m(ex, scores.variable(), s.chosen);
  const RoutingPlan plan = routing_plan(ex, top.expert, s.experts);
  const auto in = x.variable(), g = gate.variable(), u = up.variable(), d = down.variable();
  const auto unfused = [&] {
    const auto hidden = gated_activation(ex, grouped_linear(ex, in, g, {}, plan, ExpertRows::tokens),
                                         grouped_linear(ex, in, u, {}, plan, ExpertRows::tokens), Activation::silu);
    return combine(ex, grouped_linear(ex, hidden, d, {}, plan, ExpertRows::slots), top.value, plan);
  };
  const auto y = [&] {
    if constexpr (std::is_same_v<B, Cuda<float>>)
      if (fused) return gated_experts<Activation::silu>(ex, in, {g, u, d}, top.value, plan);
    return unfused();
  }();
  ex.backward(weighted_total(ex, y, weight));
  return {numbers(backend, View<ScalarOf<B>>(y)),
          scores.gradient(),
          x.gradient(),
          gate.gradient(),
          up.gradient(),
          down.gradient()};
}

const std::vector<Sizes> kSizes{
    {"least", 5, 3, 8, 8, 8, 1},
    {"odd counts", 577, 9, 64, 128, 64, 1, {0, 1, 63, 64, 65, 127, 128, 129, 0}},
    {"many experts", 64, 48, 16, 24, 8, 4},
    {"narrow depth", 300, 4, 72, 56, 352, 2},
    {"widths of 176", 700, 3, 352, 1408, 352, 2},
    {"wide", 1000, 5, 1000, 264, 1000, 2},
    {"row tiles and column tiles in odd numbers", 2900, 1, 200, 640, 72, 1},
    {"rows in a pass of their own", 150, 2, 24, 4104, 16, 2},
    {"several bands", 5000, 2, 128, 320, 264, 2},
};

constexpr const char* kNames[] = {"y", "scores' gradient", "x's", "gate's", "up's", "down's"};

void fill_arena(Cuda<float>& cuda, int byte) {
  constexpr std::size_t kChunk = std::size_t{1} << 20, kChunks = 256;
  cuda.begin_step();
  const ArenaScope scope(cuda.device_arena());
  for (std::size_t i = 0; i < kChunks; ++i)
    require_cuda(cudaMemset(cuda.device_arena().allocate(kChunk), byte, kChunk), "test");
  require_cuda(cudaDeviceSynchronize(), "test");
}

using Layer = SwiGlu::Module<float>;
using B = Cuda<float>;

/// A layer's output for fixed inputs.
std::vector<float> output(B& cuda, const Layer& layer, const Sizes& s) {
  Kept<B> scores({s.tokens, s.experts}, scores_of(s)), x({s.tokens, s.in}, rounded_numbers(s.tokens * s.in, 2, 1));
  cuda.begin_step();
  const auto top = top_m(cuda, scores.constant(), s.chosen);
  return cuda.read(
      View<float>(layer.combined(cuda, x.constant(), top.value, routing_plan(cuda, top.expert, s.experts))));
}

}  // namespace

TEST_CASE("gated experts in one operation equal the CPU's layers in double, to bf16's roundings") {
  B cuda({.precision = Precision::bf16});
  if (!cuda.multiplies_halves()) return;
  for (const Sizes& s : kSizes) {
    Cpu<double> cpu;
    const auto expected = outcome(cpu, s, false), actual = outcome(cuda, s, true);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO(std::string(s.name), ", ", std::string(kNames[i]), ": ", distance(actual[i], expected[i]));
      CHECK(distance(actual[i], expected[i]) <= 8e-3);
    }
    fill_arena(cuda, 0xff);
    CHECK_MESSAGE(outcome(cuda, s, true) == actual, s.name, ": in memory full of NaN other bits");
  }
}

TEST_CASE("gated experts have the same bits a thousand times") {
  B cuda({.precision = Precision::bf16});
  if (!cuda.multiplies_halves()) return;
  const Sizes& s = kSizes[1];
  const auto first = outcome(cuda, s, true);
  for (int i = 1; i < 1000; ++i) REQUIRE(outcome(cuda, s, true) == first);
}

TEST_CASE("copies of weights in bf16 follow whatever writes the weights") {
  B cuda({.precision = Precision::bf16});
  if (!cuda.multiplies_halves()) return;
  const Sizes s{"layer", 100, 4, 32, 64, 32, 2};
  const auto make = [&] { return Layer({}, {s.in, s.out, s.experts, {s.hidden}}); };
  Layer layer = make(), fresh = make();
  Parameters<float> parameters(layer, 1, cuda.space());
  const auto expect_fresh = [&](const char* what) {
    Parameters<float> others(fresh, 2, cuda.space());
    for (std::size_t i = 0; i < others.entries().size(); ++i)
      others.set_values(others.entries()[i], parameters.values_of(parameters.entries()[i]));
    CHECK_MESSAGE(output(cuda, layer, s) == output(cuda, fresh, s), what);
  };
  expect_fresh("new");
  const auto& entry = parameters.entries()[1];
  parameters.set_values(entry, std::vector<float>(static_cast<std::size_t>(entry.tensor.size()), .25f));
  expect_fresh("set_values");
  cuda.fill(parameters.values().data, 64, .5f);
  expect_fresh("values()");
  const std::vector<float> ones(64, 1.f);
  cuda.write(View<float>{entry.tensor.data, {64}}, ones.data());
  expect_fresh("write");

  Adam<float> adam(parameters, {.learning_rate = .05});
  Kept<B> scores({s.tokens, s.experts}, scores_of(s)), x({s.tokens, s.in}, rounded_numbers(s.tokens * s.in, 2, 1)),
      weight(Shape{s.tokens * s.out}, weights(s.tokens * s.out));
  const auto step = [&] {
    Recording ex(cuda);
    const auto top = top_m(ex, scores.constant(), s.chosen);
    const auto y = layer.combined(ex, x.constant(), top.value, routing_plan(ex, top.expert, s.experts));
    ex.backward(weighted_total(ex, y, weight));
    adam.step(cuda, parameters);
  };
  step();
  expect_fresh("a step");
  const CudaGraph graph = cuda.capture(step, 2);
  cuda.replay(graph);
  expect_fresh("a replay");
  parameters.set_values(entry, std::vector<float>(static_cast<std::size_t>(entry.tensor.size()), .125f));
  cuda.replay(graph);
  expect_fresh("set_values, then a replay");
}
