// Telemetry of a layer on the GPU: what the CPU's has, and a sentence where a step is captured.

#include <neuroinhib/io/telemetry.hpp>

#include "cuda/support.cuh"

using namespace testing;

namespace {

template <class B>
using Layer = MoeLayer<SimilarityInform<LinearRouter>, GluInhibition, TopM<2>, Mlp<Relu>, B, io::Telemetry>;

/// What one recorded training step of a layer says; `run` gets the step.
template <class B, class Run>
io::TelemetryStep recorded(B& backend, const std::filesystem::path& path, const Run& run) {
  {
    io::TelemetryWriter writer(path, {.every = 1, .tokens = 12});
    Layer<B> layer({.width = 8, .experts = 4, .hidden = {5}, .telemetry = {&writer, "moe"}});
    const Parameters<typename B::Scalar> parameters(layer, 3, backend.space());
    Kept<B> x({15, 8}, Values<double>({15, 8}, 5).values);
    const auto step = [&] {
      Recording ex(backend);
      (void)layer.forward(ex, x.variable(), {}, {.sequences = {.length = 5}});
    };
    for (int i = 0; i < 3; ++i) step();  // takes the memory that a capture may not ask for
    writer.step(0, [&] { run(step); });
  }
  return io::TelemetryFile(path).steps().at(0);
}

}  // namespace

TEST_CASE("telemetry on the GPU has what the CPU's has") {
  const TemporaryFolder folder;
  Cpu<float> cpu;
  Cuda<float> cuda({.precision = Precision::strict});
  const auto plain = [](const auto& step) { step(); };
  const auto host = recorded(cpu, folder / "cpu", plain), device = recorded(cuda, folder / "cuda", plain);
  REQUIRE(device.layers.size() == 1);
  const io::TelemetryLayer &a = host.layers[0], &b = device.layers[0];
  CHECK(a.expert == b.expert);
  CHECK(a.slots == b.slots);
  CHECK(a.neighbours == 5);
  const auto close = [](const std::vector<float>& x, const std::vector<float>& y, double tolerance = 1e-5) {
    REQUIRE(x.size() == y.size());
    CHECK(distance(x.data(), y.data(), static_cast<Index>(x.size())) < tolerance);
  };
  close(a.gate_means, b.gate_means);
  close(a.mask, b.mask, 1. / 200);
  close(a.scores, b.scores);
  close(a.gates, b.gates);
  close(a.own_scores, b.own_scores);
  close(a.token_entropy, b.token_entropy);
  close(a.weight, b.weight);
}

TEST_CASE("a step that telemetry records cannot be captured") {
  const TemporaryFolder folder;
  Cuda<float> cuda;
  check_error<ConfigError>(
      [&] { (void)recorded(cuda, folder / "t", [&](const auto& step) { (void)cuda.capture([&] { step(); }); }); },
      {"captured"});
}
