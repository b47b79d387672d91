// Telemetry: what layers did comes back from the file; recording changes nothing; damaged files are refused.

#include <neuroinhib/io/telemetry.hpp>

#include <thread>

#include "support.hpp"

using namespace testing;

namespace {

using Layer = MoeLayer<LinearRouter, GluInhibition, TopM<2>, Mlp<Relu>, Cpu<float>, io::Telemetry>;
using Silent = MoeLayer<LinearRouter, GluInhibition, TopM<2>, Mlp<Relu>>;

template <class L>
typename L::Config config() {
  return {.width = 6, .experts = 4, .hidden = {5}};
}
Layer::Config config(io::TelemetryWriter& writer, const std::string& name = "moe") {
  auto c = config<Layer>();
  c.telemetry = {&writer, name};
  return c;
}

/// The parameters after training steps, each of which writer.step() runs where there is a writer.
template <class L>
std::vector<float> trained(const typename L::Config& c, io::TelemetryWriter* writer) {
  L layer(c);
  Parameters<float> parameters(layer, 4);
  Cpu<float> cpu({.threads = 2, .seed = 9});
  Adam<float> adam(parameters, {.learning_rate = 1e-2});
  std::vector<int> labels(20, 3);
  for (std::uint64_t number = 0; number < 8; ++number) {
    Values<float> x({20, 6}, number);
    const auto step = [&] {
      Recording ex(cpu);
      const auto loss = cross_entropy(ex, layer.forward(ex, x.constant()).y, {labels.data(), {20}});
      ex.backward(loss);
      adam.step(cpu, parameters);
      if (writer != nullptr) writer->measure("loss", static_cast<double>(loss[0]));
    };
    if (writer != nullptr)
      writer->step(number, step);
    else
      step();
  }
  return {parameters.values().begin(), parameters.values().end()};
}

/// A small file with a record of each kind.
void write_small(const std::filesystem::path& path) {
  io::TelemetryWriter writer(path, {.every = 1, .tokens = 3}, {{"run", "small"}});
  Layer layer(config(writer));
  const Parameters<float> parameters(layer, 1);
  Cpu<float> cpu;
  Values<float> x({4, 6}, 2);
  for (std::uint64_t step = 0; step < 2; ++step)
    writer.step(step, [&] {
      cpu.begin_step();
      (void)layer.forward(cpu, x.constant());
      writer.measure("loss", .5);
      const std::vector<int> ids{1, 0, 2, 1};
      writer.words(ids, [](int id) { return "w" + std::to_string(id); });
      writer.images({.count = 1,
                     .height = 2,
                     .width = 4,
                     .channels = 1,
                     .patch = 2,
                     .before = 1,
                     .pixels = std::vector<std::uint8_t>(8, 7)});
    });
}

/// Telemetry of one's own: counts who serves the tokens of all forwards.
struct CountSlots {
  static constexpr bool kWatches = true;
  struct Config {
    RoutingAnalysis* total = nullptr;
    void observe(auto& ex, const auto& trace) const {
      auto& backend = ex.backend();
      *total += analyse(backend, routing_counts(backend, trace.out.routing, trace.context.counted));
    }
  };
};

std::string bytes_of(const std::filesystem::path& path) {
  return io::read_file(path);
}

}  // namespace

TEST_CASE("telemetry changes neither results nor gradients") {
  const TemporaryFolder folder;
  io::TelemetryWriter writer(folder / "t", {.every = 2});
  CHECK(trained<Layer>(config(writer), &writer) == trained<Silent>(config<Silent>(), nullptr));
  CHECK(trained<Layer>(config<Layer>(), nullptr) == trained<Silent>(config<Silent>(), nullptr));
}

TEST_CASE("telemetry of one's own sees each forward") {
  RoutingAnalysis total;
  MoeLayer<LinearRouter, NoInhibition, TopM<2>, Mlp<Relu>, Cpu<float>, CountSlots> layer(
      {.width = 6, .experts = 4, .hidden = {5}, .telemetry = {&total}});
  const Parameters<float> parameters(layer, 1);
  Cpu<float> cpu;
  Values<float> x({9, 6}, 2);
  for (int pass = 0; pass < 3; ++pass) {
    cpu.begin_step();
    (void)layer.forward(cpu, x.constant());
  }
  CHECK(total.tokens == 27);
  CHECK(total.slots[0] + total.slots[1] + total.slots[2] + total.slots[3] == 54);
}

TEST_CASE("layers that run in several threads are all recorded") {
  const TemporaryFolder folder;
  constexpr int kThreads = 4, kPasses = 25;
  {
    io::TelemetryWriter writer(folder / "t", {.every = 1});
    Layer layer(config(writer));
    const Parameters<float> parameters(layer, 1);
    const auto run = [&](std::uint64_t seed) {
      Cpu<float> cpu({.threads = 1});
      Values<float> x({9, 6}, seed);
      for (int pass = 0; pass < kPasses; ++pass) {
        cpu.begin_step();
        (void)layer.forward(cpu, x.constant());
        writer.measure("seed", static_cast<double>(seed));
      }
    };
    writer.step(0, [&] {
      std::vector<std::thread> threads;
      for (std::uint64_t seed = 0; seed < kThreads; ++seed) threads.emplace_back(run, seed);
      for (std::thread& thread : threads) thread.join();
    });
  }
  const io::TelemetryFile file(folder / "t");
  CHECK(file.steps().at(0).layers.size() == kThreads * kPasses);
  CHECK(file.steps().at(0).measures.size() == kThreads * kPasses);
}

TEST_CASE("telemetry has what the layer returned") {
  const TemporaryFolder folder;
  std::vector<float> mask, scores, gates, slots(4), means(6);
  std::vector<int> expert;
  {
    io::TelemetryWriter writer(folder / "t", {.every = 5, .tokens = 7}, {{"who", "a test"}});
    Layer layer(config(writer, "first")), second(config(writer, "second"));
    const Parameters<float> parameters(layer, 1), others(second, 2);
    Cpu<float> cpu;
    Values<float> x({9, 6}, 2);
    for (std::uint64_t step = 5; step < 11; ++step)
      writer.step(step, [&] {
        cpu.begin_step();
        const auto out = layer.forward(cpu, x.constant());
        (void)second.forward(cpu, x.constant());
        mask.assign(out.inhibited.mask.begin(), out.inhibited.mask.end());
        scores.assign(out.router.scores.begin(), out.router.scores.end());
        gates.assign(out.routing.gates.begin(), out.routing.gates.end());
        expert.assign(out.routing.plan.expert.begin(), out.routing.plan.expert.end());
        writer.measure("loss", 2.5);
      });
    (void)layer.forward(cpu, x.constant());  // outside of a step
  }
  for (const int k : expert) slots[static_cast<std::size_t>(k)] += 1;
  for (std::size_t i = 0; i < mask.size(); ++i) means[i % 6] += mask[i] / 9;

  const io::TelemetryFile file(folder / "t");
  CHECK(file.cut() == 0);
  CHECK(file.notes() == std::map<std::string, std::string>{{"who", "a test"}});
  REQUIRE(file.steps().size() == 2);
  CHECK(file.steps()[0].number == 5);
  CHECK(file.steps()[1].number == 10);
  CHECK(file.steps()[1].measures == std::vector<std::pair<std::string, double>>{{"loss", 2.5}});
  REQUIRE(file.steps()[1].layers.size() == 2);
  CHECK(file.steps()[1].layers[1].name == "second");
  const io::TelemetryLayer& l = file.steps()[1].layers[0];
  CHECK(l.name == "first");
  CHECK(l.logits);
  CHECK(std::array{l.tokens, l.rows, l.experts, l.chosen, l.gated, l.neighbours} ==
        std::array<Index, 6>{9, 7, 4, 2, 6, 0});
  CHECK(l.counted == 9);
  CHECK(l.slots == slots);
  CHECK(distance(l.gate_means.data(), means.data(), 6) < 1e-6);
  CHECK(l.scores == std::vector<float>(scores.begin(), scores.begin() + 28));
  CHECK(l.gates == std::vector<float>(gates.begin(), gates.begin() + 14));
  CHECK(l.expert == std::vector<int>(expert.begin(), expert.begin() + 14));
  REQUIRE(l.mask.size() == 42);
  for (std::size_t i = 0; i < l.mask.size(); ++i) CHECK(std::abs(l.mask[i] - mask[i]) < .5 / 254 + 1e-6);
}

TEST_CASE("telemetry's neighbours and weights give the probabilities that tokens have") {
  const auto check = [](auto inform, Mask mask, Index length, Index tokens, Index weighed) {
    const TemporaryFolder folder;
    using Informed = MoeLayer<decltype(inform), NoInhibition, TopM<2>, Mlp<Relu>, Cpu<float>, io::Telemetry>;
    io::TelemetryWriter writer(folder / "t", {.every = 1, .tokens = tokens, .neighbours = 64});
    typename TransformerBlock<Informed>::T unused = 0;
    (void)unused;
    typename Informed::Config c{.width = 8, .experts = 4, .hidden = {5}, .telemetry = {&writer, "moe"}};
    TransformerBlock<Informed> block({.width = 8, .heads = 2, .routing_mask = mask}, &c);
    const Parameters<float> parameters(block, 3);
    Cpu<float> cpu;
    Values<float> x({3 * length, 8}, 5);
    for (std::uint64_t step = 0; step < 2; ++step)
      writer.step(step, [&] {
        Recording ex(cpu);
        (void)block.forward(ex, x.variable(), Sequences{.length = length, .mask = mask});
      });
    const io::TelemetryFile file(folder / "t");
    for (const auto& step : file.steps()) {
      const io::TelemetryLayer& l = step.layers.at(0);
      REQUIRE(l.neighbours == std::min<Index>(64, std::min(length, tokens)));
      for (Index i = 0; i < l.rows; ++i) {
        std::vector<float> p(4);
        for (Index n = 0; n < l.neighbours; ++n) {
          const auto at = static_cast<std::size_t>(i * l.neighbours + n);
          if (l.neighbour[at] < 0) continue;
          for (std::size_t k = 0; k < 4; ++k)
            p[k] += l.weight[at] * l.own_scores[static_cast<std::size_t>(l.neighbour[at]) * 4 + k];
        }
        if (i < weighed)
          CHECK(distance(p.data(), l.scores.data() + i * 4, 4) < 1e-5);
        else
          CHECK(p == std::vector<float>(4));
      }
    }
  };
  check(SimilarityInform<LinearRouter>{}, Mask::causal, 5, 12, 10);
  check(SimilarityInform<LinearRouter>{}, Mask::none, 5, 15, 15);
  check(SimilarityInform<LinearRouter>{}, Mask::causal, 5, 3, 3);
  check(AttentionInform<LinearRouter>{}, Mask::causal, 5, 12, 10);
  check(AttentionInform<LinearRouter>{}, Mask::none, 5, 15, 15);
  check(AttentionInform<LinearRouter>{}, Mask::causal, 5, 4, 4);
}

TEST_CASE("telemetry of a mask that is not finite") {
  io::detail::TelemetryBytes bytes;
  bytes.put_levels(std::vector<float>{NAN, .25f, INFINITY, .75f, .5f});
  const std::string_view levels = bytes.view().substr(8);
  CHECK(levels == std::string_view("\xff\x00\xff\xfe\x7f", 5));
  io::detail::TelemetryBytes none;
  none.put_levels(std::vector<double>{NAN, -INFINITY});
  CHECK(none.view() == std::string_view("\0\0\0\0\0\0\0\0\xff\xff", 10));
}

TEST_CASE("telemetry stays within its bounds and covers the whole training") {
  const TemporaryFolder folder;
  constexpr Index kMib = 1;
  {
    io::TelemetryWriter writer(folder / "t", {.every = 1, .tokens = 1024, .max_mib = kMib});
    auto c = config(writer);
    Layer layer(c);
    const Parameters<float> parameters(layer, 1);
    Cpu<float> cpu;
    Values<float> x({1024, 6}, 2);
    for (std::uint64_t step = 0; step < 400; ++step)
      writer.step(step, [&] {
        cpu.begin_step();
        (void)layer.forward(cpu, x.constant());
      });
  }
  CHECK(std::filesystem::file_size(folder / "t") <= kMib << 20);
  const io::TelemetryFile file(folder / "t");
  REQUIRE(file.steps().size() > 10);
  CHECK(file.cut() == 0);
  const std::uint64_t every = file.steps()[1].number;
  for (std::size_t i = 0; i < file.steps().size(); ++i) {
    CHECK(file.steps()[i].number == i * every);
    CHECK(file.steps()[i].layers.size() == 1);
  }
  CHECK(file.steps().back().number + every >= 400);
}

TEST_CASE("a step that does not fit into a file of telemetry says so") {
  const TemporaryFolder folder;
  io::TelemetryWriter writer(folder / "t", {.every = 1, .max_mib = 1});
  check_error<ConfigError>([&] { writer.step(0, [&] { writer.measure(std::string(600'000, 'x'), 1); }); },
                           {"half of max_mib, 1 MiB", "raise max_mib or record fewer tokens"});
}

TEST_CASE("a step that throws is not recorded, and the next one is") {
  const TemporaryFolder folder;
  {
    io::TelemetryWriter writer(folder / "t", {.every = 1});
    CHECK_THROWS_AS(writer.step(0,
                                [&] {
                                  writer.measure("a", 1);
                                  throw NumericError("no");
                                }),
                    NumericError);
    writer.measure("outside", 1);
    writer.step(1, [&] { writer.measure("b", 2); });
  }
  const io::TelemetryFile file(folder / "t");
  REQUIRE(file.steps().size() == 1);
  CHECK(file.steps()[0].number == 1);
  CHECK(file.steps()[0].measures == std::vector<std::pair<std::string, double>>{{"b", 2.0}});
}

TEST_CASE("telemetry opens up to any cut") {
  const TemporaryFolder folder;
  write_small(folder / "t");
  const std::string whole = bytes_of(folder / "t");
  const io::TelemetryFile all(folder / "t");
  std::size_t steps = 0, layers = 0;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    io::write_file(folder / "cut", std::string_view(whole).substr(0, size));
    const io::TelemetryFile file(folder / "cut");
    CHECK(file.steps().size() >= steps);
    steps = file.steps().size();
    layers = 0;
    for (const auto& step : file.steps()) layers += step.layers.size();
    CHECK((size == whole.size()) == (file.steps().size() == 2 && file.steps()[1].images && file.cut() == 0));
  }
  CHECK(layers == 2);
  CHECK(all.steps()[1].words == std::vector<std::string>{"w1", "w0", "w2"});
  CHECK(all.steps()[1].images->pixels.size() == 8);
}

TEST_CASE("telemetry with any changed byte is refused, or ends before it") {
  const TemporaryFolder folder;
  write_small(folder / "t");
  const std::string whole = bytes_of(folder / "t");
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    io::write_file(folder / "c", changed);
    CAPTURE(at);
    check_error<FormatError>([&] { const io::TelemetryFile file(folder / "c"); }, {"telemetry"});
  }
}

TEST_CASE("telemetry: what a record may not say") {
  const TemporaryFolder folder;
  const auto refused = [&](io::detail::TelemetryKind kind, const auto& fill, const std::string& words,
                           bool step = true) {
    io::detail::TelemetryBytes bytes;
    bytes.put_all(std::span<const char>(io::detail::kTelemetryMagic));
    bytes.put(io::detail::kTelemetryVersion);
    if (step) {
      const auto payload = bytes.begin(io::detail::TelemetryKind::step);
      bytes.put(std::uint64_t{0});
      bytes.put_count(0);
      bytes.end(payload);
    }
    const auto payload = bytes.begin(kind);
    fill(bytes);
    bytes.end(payload);
    io::write_file(folder / "t", bytes.view());
    check_error<FormatError>([&] { const io::TelemetryFile file(folder / "t"); }, {words});
  };
  using Kind = io::detail::TelemetryKind;
  using Bytes = io::detail::TelemetryBytes;
  const auto nothing = [](Bytes&) {};
  refused(static_cast<Kind>(6), nothing, "a kind from 1 to 5");
  refused(Kind::words, [](Bytes& b) { b.put_count(0); }, "a step before it", false);
  refused(
      Kind::words,
      [](Bytes& b) {
        b.put_count(0);
        b.put_count(0);
      },
      "4 bytes more");
  refused(Kind::words, [](Bytes& b) { b.put_count(0xFFFFFFFF); }, "got 0 bytes");
  refused(Kind::notes, nothing, "1 numbers of 4 bytes");
  const auto layer = [](Bytes& b, std::uint32_t flags, std::initializer_list<Index> extents) {
    b.put_text("l");
    b.put(flags);
    for (const Index extent : extents) b.put_count(extent);
    b.put(1.0);
    b.put(1.0);
  };
  constexpr Index kHuge = 0xFFFFFFFF;
  refused(Kind::layer, [&](Bytes& b) { layer(b, 0, {1, 2, 1, 1, 0, 0}); }, "no more rows than tokens");
  refused(Kind::layer, [&](Bytes& b) { layer(b, 4, {1, 1, 1, 1, 0, 0}); }, "flags up to 3");
  refused(Kind::layer, [&](Bytes& b) { layer(b, 0, {1, 1, 0, 1, 0, 0}); }, "experts ≥ 1");
  refused(
      Kind::layer, [&](Bytes& b) { layer(b, 0, {kHuge, kHuge, kHuge, kHuge, kHuge, kHuge}); }, "numbers of 4 bytes");
  const auto complete = [&](Bytes& b, int expert) {
    layer(b, 0, {1, 1, 1, 1, 0, 0});
    b.put_floats(std::vector<float>{1, 0, 0, 5});  // slots, the mask's range, scores
    b.put(expert);
    b.put(1.0f);
  };
  refused(Kind::layer, [&](Bytes& b) { complete(b, 2); }, "experts from 0 to 1");
  refused(Kind::layer, [&](Bytes& b) { complete(b, -1); }, "experts from 0 to 1");
  refused(
      Kind::images,
      [](Bytes& b) {
        for (const Index e : {1, 4, 4, 1, 3, 0}) b.put_count(e);
      },
      "patches that divide");
  refused(
      Kind::images,
      [&](Bytes& b) {
        for (const Index e : {kHuge, kHuge, kHuge, kHuge, Index{1}, kHuge}) b.put_count(e);
      },
      "images that fit into memory");
  refused(
      Kind::images,
      [&](Bytes& b) {
        for (const Index e : {0, 4, 4, 1, 2, 0}) b.put_count(e);
      },
      "extent ≥ 1");
}

TEST_CASE("telemetry: other files and options are refused") {
  const TemporaryFolder folder;
  const auto opens = [&](const std::string& content) {
    io::write_file(folder / "t", content);
    const io::TelemetryFile file(folder / "t");
  };
  check_error<FormatError>([&] { opens("something else that is long"); }, {"a file of telemetry"});
  check_error<FormatError>([&] { opens("neuro-telemetry\n\2" + std::string(3, '\0')); },
                           {"version 1", "another version"});
  check_error<IoError>([&] { const io::TelemetryFile file(folder / "none"); }, {"none"});
  check_error<IoError>([&] { const io::TelemetryWriter writer(folder / "no" / "folder"); }, {"to open"});
  check_error<ConfigError>([&] { const io::TelemetryWriter writer(folder / "t", {.every = 0}); }, {"every"});
  check_error<ConfigError>([&] { const io::TelemetryWriter writer(folder / "t", {.tokens = 0}); }, {"tokens"});
  check_error<ConfigError>([&] { const io::TelemetryWriter writer(folder / "t", {.max_mib = 0}); }, {"max_mib"});
  io::TelemetryWriter writer(folder / "t");
  check_error<IoError>([&] { const io::TelemetryWriter other(folder / "t"); }, {"another writer"});
  check_error<ShapeError>([&] { writer.images({.count = 1, .height = 4, .width = 4, .channels = 1, .patch = 3}); },
                          {"patches that divide"});
}
