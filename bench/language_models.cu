// Language models on a GPU: milliseconds per training step of the first paper's network, one by one and captured; time
// and memory of whole forward passes of the second paper's, each router against the one it decorates (Mutual-Inform
// SMoE, table 7). To be set against bench/peers/language_model_torch.py.
//   language_models_cuda [--precision tf32|bf16|strict] [--routing strict|tf32] [--only steps|passes]

#include <cstdio>

#include "language_models.hpp"
#include "options.cuh"
#include "timing.cuh"

namespace {

using namespace bench;

/// A text on the device.
struct DeviceText {
  const Text& text;
  Storage<int> ids{kSpaceOf<CudaMemory>}, labels{kSpaceOf<CudaMemory>};

  explicit DeviceText(const Text& host) : text(host) {
    ids.assign(host.ids.data(), static_cast<Index>(host.ids.size()));
    labels.assign(host.labels.data(), static_cast<Index>(host.labels.size()));
  }
  template <class M, class Ex>
  auto loss(M& model, Ex& ex) const {
    const Shape shape{ids.size()};
    return model.loss(ex, View<const int>{ids.data(), shape}, View<const int>{labels.data(), shape},
                      {.length = text.length});
  }
};

template <class M>
void time_steps(const char* name, const DeviceText& text, const typename M::Config& config,
                const CudaOptions& options) {
  constexpr int kSteps = 10;
  M model(config);
  Cuda<float> cuda(options);
  Parameters<float> parameters(model, 0, cuda.space());
  Adam<float> adam(parameters, {.learning_rate = 1e-3});
  const auto step = [&] {
    Recording ex(cuda);
    ex.backward(text.loss(model, ex).total);
    adam.step(cuda, parameters);
  };
  for (int i = 0; i < 3; ++i) step();
  const double eager = median(cuda,
                              [&] {
                                for (int i = 0; i < kSteps; ++i) step();
                              }) /
                       kSteps;
  const CudaGraph graph = cuda.capture(step, kSteps);
  const double captured = median(cuda, [&] { cuda.replay(graph); }) / kSteps;
  std::printf("step %-10s ms eager %.4f graph %.4f step memory %zu MiB\n", name, eager, captured,
              cuda.peak_bytes() >> 20);
  std::fflush(stdout);
}

struct Pass {
  double milliseconds, mebibytes;
};

template <class M>
Pass time_pass(const char* name, const DeviceText& text, const typename M::Config& config, const CudaOptions& options,
               const Pass* against) {
  M model(config);
  Cuda<float> cuda(options);
  const Parameters<float> parameters(model, 0, cuda.space());
  const auto pass = [&] {
    cuda.begin_step();
    (void)text.loss(model, cuda);
  };
  const double time = median(cuda, pass);
  const Pass seen{
      time,
      static_cast<double>(cuda.peak_bytes() + sizeof(float) * static_cast<std::size_t>(parameters.size())) / (1 << 20)};
  std::printf("pass %-24s %8.3f ms, %8.1f MiB", name, seen.milliseconds, seen.mebibytes);
  if (against != nullptr)
    std::printf(", ratios %.3f and %.4f", seen.milliseconds / against->milliseconds,
                seen.mebibytes / against->mebibytes);
  std::printf("\n");
  std::fflush(stdout);
  return seen;
}

template <class Base>
void time_passes(const std::string& name, const DeviceText& text, Index blocks, Index width,
                 const CudaOptions& options) {
  const auto pass = [&]<class Router>(const std::string& kind, const Pass* against) {
    using M = Model<Router, NoInhibition, 2>;
    return time_pass<M>((name + kind).c_str(), text, second_paper<M>(text.text, blocks, width), options, against);
  };
  const Pass own = pass.template operator()<Base>("", nullptr);
  (void)pass.template operator()<SimilarityInform<Base>>(", similarity", &own);
  (void)pass.template operator()<AttentionInform<Base>>(", attention", &own);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Language models on a GPU");
  CudaOptions options;
  std::string only;
  add_precisions(app, options);
  app.add_option("--only", only, "steps or passes (default: both)")->check(CLI::IsMember({"steps", "passes"}));
  CLI11_PARSE(app, argc, argv);
  std::printf("# neuroinhib %s, %s\n", NEUROINHIB_VERSION, Cuda<float>(options).describe().c_str());
  if (only != "passes") {
    const Text text(256, 32, 8500);
    const DeviceText device(text);
    for_each_of_first_paper(text, [&]<class M>(const char* name, const typename M::Config& config) {
      time_steps<M>(name, device, config, options);
    });
  }
  if (only != "steps") {
    const Text text(48, 512, 30000);
    const DeviceText device(text);
    time_passes<LinearRouter>("SMoE medium", device, 6, 352, options);
    time_passes<XMoeRouter>("X-MoE medium", device, 6, 352, options);
  }
}
