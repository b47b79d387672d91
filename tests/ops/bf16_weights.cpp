// Experts' weights in bf16 on the CPU: against double from the same rounded factors, on every unit that this processor
// has; bits, errors, and layers as a whole.

#include <bit>
#include <cstdint>

#include "support.hpp"

using namespace testing;

namespace {

double rounded(float value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(to_bf16(value)) << 16);
}

std::vector<Bf16Unit> units() {
  std::vector<Bf16Unit> all{Bf16Unit::widened};
  if (has_unit(Bf16Unit::avx512_bf16)) all.push_back(Bf16Unit::avx512_bf16);
  return all;
}

/// One linear layer of every expert, its input, and who serves whom.
struct Case {
  Index tokens, experts, chosen, in, out;
  ExpertRows rows;
  bool bias, partial = false;
};

struct Run {
  ExpertLinear<float> layer;
  Parameters<float> parameters;
  Values<float> x;
  std::vector<int> expert;
  Case c;

  explicit Run(const Case& of)
      : layer(of.experts, of.in, of.out, of.bias),
        parameters(layer, 3),
        x({of.rows == ExpertRows::tokens ? of.tokens : of.tokens * of.chosen, of.in}, 7),
        c(of) {
    // Experts 1, 2, … serve, 0 does not; in a partial plan every seventh slot has none.
    for (Index slot = 0; slot < c.tokens * c.chosen; ++slot)
      expert.push_back(c.partial && slot % 7 == 3 ? static_cast<int>(c.experts)
                                                  : static_cast<int>(1 + slot * slot % (c.experts - 1)));
  }
  RoutingPlan plan(Cpu<float>& cpu) {
    return routing_plan(cpu, View<int>(expert.data(), {c.tokens, c.chosen}), c.experts, c.partial);
  }
  std::vector<float> compute(Cpu<float>& cpu) {
    cpu.begin_step();
    return cpu.read<float>(layer(cpu, x.constant(), plan(cpu), c.rows));
  }
  /// In double from rounded factors; `size`: Σ |a b| of each element, by which its rounding is measured.
  std::vector<double> reference(Cpu<float>& cpu, std::vector<double>& size) {
    cpu.begin_step();
    const RoutingPlan made = plan(cpu);
    std::vector<double> y(static_cast<std::size_t>(made.slots() * c.out));
    size.assign(y.size(), 1e-30);
    for (Index e = 0; e < c.experts; ++e)
      for (Index r = made.offsets[e]; r < made.offsets[e + 1]; ++r)
        for (Index n = 0; n < c.out; ++n) {
          const Index row = c.rows == ExpertRows::tokens ? made.order[r] / c.chosen : r;
          const auto at = static_cast<std::size_t>(r * c.out + n);
          if (c.bias) y[at] = layer.bias.tensor[e * c.out + n];
          for (Index k = 0; k < c.in; ++k) {
            const double term = rounded(x.values[static_cast<std::size_t>(row * c.in + k)]) *
                                rounded(layer.weight.tensor[(e * c.out + n) * c.in + k]);
            y[at] += term;
            size[at] += std::abs(term);
          }
        }
    return y;
  }
};

template <class Experts>
void check_layer(const std::vector<Index>& hidden) {
  using Layer = MoeLayer<LinearRouter, NoInhibition, TopM<2>, Experts>;
  Layer layer({.width = 48, .experts = 6, .hidden = hidden, .shared = 1});
  Parameters<float> parameters(layer, 1);
  Values<float> x({33, 48}, 2);
  const auto answer = [&](const CpuOptions& options) {
    Cpu<float> cpu(options);
    return cpu.read<float>(layer.forward(cpu, x.constant()).y);
  };
  const auto exact = answer({.threads = 1});
  for (const Bf16Unit unit : units()) {
    const Bf16Weights weights(parameters, unit);
    const auto halves = answer({.threads = 1, .bf16_weights = &weights});
    CHECK(halves != exact);
    CHECK(distance(halves.data(), exact.data(), static_cast<Index>(exact.size())) < 2e-2);
    CHECK(answer({.threads = 3, .min_work = 1, .bf16_weights = &weights}) == halves);
  }
}

}  // namespace

TEST_CASE("numbers are rounded to bf16 to nearest, ties to even, and NaN stays NaN") {
  const auto bits = [](std::uint32_t value) { return to_bf16(std::bit_cast<float>(value)); };
  CHECK(to_bf16(1.0F) == 0x3f80);
  CHECK(bits(0x3f808000) == 0x3f80);  // between an even and an odd one
  CHECK(bits(0x3f818000) == 0x3f82);
  CHECK(bits(0x3f808001) == 0x3f81);
  CHECK(bits(0xbf80ffff) == 0xbf81);
  CHECK(bits(0x7f7fffff) == 0x7f80);  // the largest float becomes infinity
  CHECK(bits(0xff800000) == 0xff80);
  CHECK(bits(0x00000001) == 0x0000);
  CHECK(std::isnan(rounded(std::bit_cast<float>(0x7f800001U))));
  CHECK(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("experts in bf16 are the product of the rounded factors, at odd sizes, gathered or not") {
  for (const Bf16Unit unit : units())
    for (const Case& c :
         {Case{1, 4, 2, 64, 64, ExpertRows::tokens, false}, Case{5, 4, 2, 33, 17, ExpertRows::tokens, true},
          Case{64, 3, 2, 1, 1, ExpertRows::tokens, true}, Case{13, 9, 3, 1500, 70, ExpertRows::slots, false},
          Case{40, 4, 1, 2051, 129, ExpertRows::slots, true}, Case{21, 5, 2, 96, 48, ExpertRows::tokens, true, true}}) {
      CAPTURE(text_of(unit));
      CAPTURE(c.in);
      Run run(c);
      const Bf16Weights weights(run.parameters, unit);
      Cpu<float> cpu({.threads = 2, .bf16_weights = &weights});
      std::vector<double> size;
      const std::vector<double> expected = run.reference(cpu, size);
      const std::vector<float> y = run.compute(cpu);
      REQUIRE(y.size() == expected.size());
      for (std::size_t i = 0; i < y.size(); ++i)
        REQUIRE(std::abs(static_cast<double>(y[i]) - expected[i]) <=
                1e-6 * std::sqrt(static_cast<double>(c.in)) * (size[i] + std::abs(expected[i])));
    }
}

TEST_CASE("experts in bf16 have the same bits on any number of threads, and a token's in any batch") {
  for (const Bf16Unit unit : units()) {
    Run run({40, 4, 2, 1500, 130, ExpertRows::tokens, true});
    const Bf16Weights weights(run.parameters, unit);
    const auto on = [&](int threads) {
      Cpu<float> cpu({.threads = threads, .min_work = 1, .bf16_weights = &weights});
      return run.compute(cpu);
    };
    const std::vector<float> one = on(1);
    for (const int threads : {2, 3, 7}) CHECK(on(threads) == one);

    Cpu<float> cpu({.threads = 1, .bf16_weights = &weights});
    const RoutingPlan plan = run.plan(cpu);
    for (Index token = 0; token < run.c.tokens; ++token) {
      Tensor<float> row = run.x.constant();
      row.data += token * run.c.in;
      row.shape = {1, run.c.in};
      const RoutingPlan alone = routing_plan(cpu, View<int>(plan.expert.data + token * 2, {1, 2}), run.c.experts);
      const auto y = run.layer(cpu, row, alone, ExpertRows::tokens);
      for (Index m = 0; m < 2; ++m)
        for (Index n = 0; n < run.c.out; ++n)
          REQUIRE(y[alone.position[m] * run.c.out + n] ==
                  one[static_cast<std::size_t>(plan.position[token * 2 + m] * run.c.out + n)]);
    }
  }
}

TEST_CASE("layers of gated and of plain experts answer in bf16, shared experts too") {
  check_layer<SwiGlu>({37});
  check_layer<Mlp<Gelu>>({40, 21});
}

TEST_CASE("a language model goes on with a text in bf16 as a pass over the whole text does") {
  LanguageModel<MoeLayer<LinearRouter, NoInhibition, TopM<2>, SwiGlu>> model(
      {.vocabulary = 11,
       .positions = 16,
       .blocks = 2,
       .block = {.width = 16, .heads = 2},
       .moe = {.width = 16, .experts = 4, .hidden = {24}}});
  Parameters<float> parameters(model, 3);
  for (float& value : parameters.values()) value *= 4;  // far from uniform
  const Bf16Weights weights(parameters);
  Cpu<float> cpu({.threads = 1, .bf16_weights = &weights});
  std::vector<int> text{3, 1, 4};
  const auto made = generate(cpu, model, {text}, {.tokens = 8, .temperature = 0});
  REQUIRE(made[0].size() == 8);
  for (const int word : made[0]) {
    cpu.begin_step();
    const auto rows = static_cast<Index>(text.size());
    const auto hidden = model.forward(cpu, {text.data(), {rows}}, {.length = rows}).hidden;
    const auto scores = model.logits(cpu, hidden);
    const float* last = scores.data + (rows - 1) * 11;
    CHECK(word == std::max_element(last, last + 11) - last);
    text.push_back(word);
  }
}

TEST_CASE("weights in bf16 leave the default as it is, and say what they are multiplied by") {
  Run run({9, 4, 2, 64, 32, ExpertRows::tokens, true});
  Cpu<float> cpu({.threads = 1});
  const std::vector<float> before = run.compute(cpu);
  const Bf16Weights weights(run.parameters, Bf16Unit::widened);
  CHECK(run.compute(cpu) == before);
  CHECK(weights.bytes() == 2 * 4 * 64 * 32);
  CHECK(cpu.describe().find("bf16") == std::string::npos);
  CHECK(Cpu<float>({.bf16_weights = &weights}).describe().find("float, experts in bf16 (widened to float)") !=
        std::string::npos);
  const Bf16Weights fastest(run.parameters);
  CHECK(fastest.unit() == units().back());
}

TEST_CASE("weights in bf16 refuse training, other models, models without experts and other scalars") {
  Run run({9, 4, 2, 64, 32, ExpertRows::tokens, true});
  const Bf16Weights weights(run.parameters);
  Cpu<float> cpu({.bf16_weights = &weights});
  check_error<ConfigError>(
      [&] {
        Recording ex(cpu);
        (void)run.layer(ex, run.x.constant(), routing_plan(ex, View<int>(run.expert.data(), {9, 2}), 4),
                        ExpertRows::tokens);
      },
      {"inference", "a recording", "without bf16_weights"});
  Run other({9, 4, 2, 64, 32, ExpertRows::tokens, true});
  check_error<ConfigError>([&] { (void)other.compute(cpu); },
                           {"expert layer", "[4, 32, 64]", "Bf16Weights(parameters)"});
  nn::Linear<float> linear(3, 2);
  const Parameters<float> plain(linear, 1);
  check_error<ConfigError>([&] { (void)Bf16Weights(plain); }, {"a model with experts"});
  check_error<ConfigError>([&] { (void)Cpu<double>({.bf16_weights = &weights}); }, {"float beside weights in bf16"});
  if (!has_unit(Bf16Unit::avx512_bf16))
    check_error<ConfigError>([&] { (void)Bf16Weights(run.parameters, Bf16Unit::avx512_bf16); },
                             {"a processor with AVX512-BF16", "Bf16Unit::widened"});
}
