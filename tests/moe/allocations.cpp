// What a training step takes from the heap after the first: nothing, Eigen included. What inference keeps: one block.

#include <atomic>
#include <cstdlib>
#include <new>

#include "support.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define NEUROINHIB_COUNTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NEUROINHIB_COUNTS 0
#endif
#endif
#if !defined(NEUROINHIB_COUNTS) && defined(__GLIBC__)
#define NEUROINHIB_COUNTS 1
#endif

namespace {

using namespace testing;

std::atomic<long> taken{0};

constexpr int kThreads = 2;

template <class Inhibition>
struct Network {
  using Layer = MoeLayer<TwoLayerRouter<Tanh>, Inhibition, NoisyTopK<2>, SwiGlu>;
  nn::Conv2d<float> conv{1, 8, 3, {.activation = Activation::relu, .pool = {.kernel = 2, .stride = 2}}};
  Layer moe;

  Network() : moe(config()) {}
  static typename Layer::Config config() {
    typename Layer::Config c{.width = 72,
                             .experts = 4,
                             .hidden = {16},
                             .output = 10,
                             .auxiliary = {.importance = .1, .z = .1},
                             .router = {.hidden = 12},
                             .mix = {.load_weight = .1}};
    c.inhibition.earlier_widths = {64};
    return c;
  }
  void visit(auto&& v) {
    v("conv", conv);
    v("moe", moe);
  }
};

/// What five steps take from the heap after some others.
template <class Inhibition>
long taken_by_steps(int steps_before) {
  Network<Inhibition> network;
  Parameters<float> parameters(network, 1);
  Cpu<float> cpu({.threads = kThreads, .min_work = 1});
  Adam<float> adam(parameters, {});
  Values<float> images({16, 8, 8, 1}, 1);
  std::vector<int> labels(16, 3);
  const auto step = [&] {
    Recording ex(cpu);
    const std::array<Tensor<float>, 1> earlier{images.constant().reshaped({16, 64})};
    const auto features = network.conv(ex, images.constant());
    const auto out = network.moe.forward(ex, layer_norm(ex, features.reshaped({16, 72})), earlier);
    const auto loss = sum(ex, {cross_entropy(ex, out.y, {labels.data(), {16}}), out.auxiliary});
    ex.require_finite(loss, "step");
    ex.backward(loss);
    clip_gradient_norm(cpu, parameters, 1.0);
    adam.step(cpu, parameters);
  };
  for (int i = 0; i < steps_before; ++i) step();
  const long before = taken;
  for (int i = 0; i < 5; ++i) step();
  return taken - before;
}

}  // namespace

#if NEUROINHIB_COUNTS
// Every way to the heap, operator new and Eigen's own buffers included, goes through these.
extern "C" {
void* __libc_malloc(std::size_t);                 // NOLINT(bugprone-reserved-identifier): glibc's own
void* __libc_memalign(std::size_t, std::size_t);  // NOLINT(bugprone-reserved-identifier)
void* malloc(std::size_t bytes) {
  ++taken;
  return __libc_malloc(bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  ++taken;
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  ++taken;
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? 12 : 0;
}
}
#endif

TEST_CASE("a training step takes nothing from the heap after the first") {
#if !NEUROINHIB_COUNTS
  MESSAGE("skipped: this build's allocator cannot be counted");
#else
  const long before = taken;
  CHECK(taken_by_steps<PretextInhibition>(1) == 0);
  // Iteration 0 has no post-text memory and so fewer operations: the first whole step is the second.
  CHECK(taken_by_steps<GlobalInhibition>(2) == 0);
  CHECK(taken > before);
#endif
}

TEST_CASE("inference in bf16 takes nothing from the heap after the first step") {
#if !NEUROINHIB_COUNTS
  MESSAGE("skipped: this build's allocator cannot be counted");
#else
  MoeLayer<LinearRouter, NoInhibition, TopM<2>, SwiGlu> layer({.width = 64, .experts = 8, .hidden = {128}});
  const Parameters<float> parameters(layer, 1);
  const Bf16Weights weights(parameters);
  Cpu<float> cpu({.threads = kThreads, .min_work = 1, .bf16_weights = &weights});
  Values<float> x({5, 64}, 1);
  const auto step = [&] {
    cpu.begin_step();
    (void)layer.forward(cpu, x.constant());
  };
  step();
  const long before = taken;
  for (int i = 0; i < 5; ++i) step();
  CHECK(taken == before);
#endif
}

TEST_CASE("inference needs the memory of one block, however many there are") {
  using Model = LanguageModel<MoeLayer<SimilarityInform<LinearRouter>, PretextInhibition>>;
  const std::vector<int> ids(96, 2);
  const auto peak_of = [&](Index blocks, const auto& pass) {
    Model::Config config{.vocabulary = 11,
                         .positions = 48,
                         .blocks = blocks,
                         .block = {.width = 64, .heads = 4},
                         .moe = {.width = 64, .experts = 4, .hidden = {128}}};
    config.moe.inhibition.earlier_widths = {64};
    Model model(config);
    const Parameters<float> parameters(model, 1);
    Cpu<float> cpu;
    pass(cpu, model);
    return cpu.arena().peak_bytes();
  };
  const auto infer = [&](Cpu<float>& cpu, const Model& model) {
    (void)model.loss(cpu, {ids.data(), {96}}, {ids.data(), {96}}, {.length = 48});
  };
  const auto record = [&](Cpu<float>& cpu, const Model& model) {
    Recording ex(cpu);
    (void)model.loss(ex, {ids.data(), {96}}, {ids.data(), {96}}, {.length = 48});
  };
  const auto one = peak_of(1, infer);
  CHECK(peak_of(12, infer) <= one + (one >> 8));
  CHECK(peak_of(12, record) > 6 * one);

  std::vector<Model::LayerOutput> layers;
  const auto watch = [&](Cpu<float>& cpu, const Model& model) {
    (void)model.loss(cpu, {ids.data(), {96}}, {ids.data(), {96}}, {.length = 48}, &layers);
  };
  CHECK(peak_of(12, watch) > 4 * one);
  CHECK(layers.size() == 12);
}
