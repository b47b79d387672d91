// The copies in bf16 that are kept beside parameters: whatever writes parameters, what reads a copy sees the numbers
// that they have then, in steps and in replays.

#include <functional>

#include "cuda/support.cuh"

using namespace testing;

namespace {

constexpr Index kCount = 64;

struct Interruption {};

struct Training {
  Cuda<float> cuda;
  nn::Linear<float> layer{8, 7};  // 56 numbers and a bias of 7, padded
  Parameters<float> parameters{layer, 3, cuda.space()};
  Adam<float> adam{parameters, {.learning_rate = .05}};
  Storage<float> seen{cuda.space()}, expected{cuda.space()};

  Training() {
    seen.assign_zeros(kCount), expected.assign_zeros(kCount);
    update();
  }
  [[nodiscard]] const Tensor<float>& weight() const { return parameters["weight"]; }
  void update() { adam.step(cuda, parameters); }
  void fill(float value) { cuda.fill(parameters.values().data, weight().size(), value); }
  /// Notes what a product would read here, and what it should.
  void look() {
    float *const in_copy = seen.data(), *const in_weight = expected.data();
    const __nv_bfloat16* const copy = cuda.halves_of(weight());
    const float* const numbers = weight().data;
    cuda.parallel_for(weight().size(), [=] __device__(Index i) {
      in_copy[i] = __bfloat162float(copy[i]);
      in_weight[i] = __bfloat162float(__float2bfloat16_rn(numbers[i]));
    });
  }
  void check(const char* when) {
    cuda.check();
    CHECK_MESSAGE(seen.to_host() == expected.to_host(), std::string(when));
  }
  void look_and_check(const char* when) {
    look();
    check(when);
  }
};

}  // namespace

TEST_CASE("the copy of parameters goes with them") {
  Cuda<float> cuda;
  const void* copy = nullptr;
  {
    nn::Linear<float> layer(8, 7);
    const Parameters<float> parameters(layer, 3, cuda.space());
    copy = cuda.halves_of(parameters["weight"]);
    CHECK(detail::DeviceAllocations::all().number_at(copy) != 0);
  }
  CHECK(detail::DeviceAllocations::all().number_at(copy) == 0);
}

TEST_CASE("a copy is kept of parameters alone, since others write without a word") {
  Cuda<float> cuda;
  Storage<float> values(cuda.space());
  values.assign_zeros(kCount);
  const auto rounded = [&](const Tensor<float>& x) {
    const auto halves = cuda.read(View<const __nv_bfloat16>(cuda.halves_of(x), {2}));
    return __bfloat162float(halves[1]);
  };
  const Tensor<float> kept = tensor(values, {kCount});
  CHECK(rounded(kept) == 0);
  cuda.fill(values.data(), kCount, 2);
  CHECK(rounded(kept) == 2);

  void* memory = nullptr;
  require_cuda(cudaMalloc(&memory, kCount * sizeof(float)), "test");
  Tensor<float> own = kept;
  own.data = static_cast<float*>(memory);
  cuda.fill(own.data, kCount, 3);
  CHECK(rounded(own) == 3);
  require_cuda(cudaFree(memory), "test");
}

TEST_CASE("an update of a part of the parameters keeps that part's copy") {
  Training training;
  training.look_and_check("new");
  const auto update = [&](Index begin, Index size) {
    const View<float> gradients = training.parameters.gradients();
    training.cuda.fill(gradients.data, kCount, 1);
    const auto at = [&](auto& storage) { return storage.data() + begin; };
    auto& state = training.adam.state();
    training.cuda.run(
        ops::AdamUpdate<float>{{const_cast<float*>(training.weight().data) + begin, at(state.first), at(state.second)},
                               gradients.data + begin,
                               size,
                               .5,
                               .9,
                               .999,
                               1e-8,
                               0,
                               false,
                               {1, state.steps.data()}});
  };
  update(16, 16);
  training.look_and_check("a part");
  training.fill(.3f);
  update(32, 8);
  training.look_and_check("a part, after a write to all");
}

TEST_CASE("within captured steps copies follow whatever writes the weights") {
  struct Case {
    const char* name;
    std::function<void(Training&)> step;
  };
  const Case cases[] = {
      {"a look", [](Training& t) { t.look(); }},
      {"a write, then a look", [](Training& t) { t.fill(.1f), t.look(); }},
      {"a look, then a write", [](Training& t) { t.look(), t.fill(.2f); }},
      {"an update, a look", [](Training& t) { t.update(), t.look(); }},
      {"a look, an update", [](Training& t) { t.look(), t.update(); }},
      {"an update, then a write", [](Training& t) { t.look(), t.update(), t.fill(.3f); }},
      {"an update and a write between looks", [](Training& t) { t.look(), t.update(), t.fill(.4f), t.look(); }},
      {"a write, a look, an update, a look", [](Training& t) { t.fill(.6f), t.look(), t.update(), t.look(); }},
      {"a write that nobody reads", [](Training& t) { t.fill(.7f); }},
  };
  for (const Case& one : cases) {
    INFO(std::string(one.name));
    Training training;
    training.look_and_check("before");
    const CudaGraph graph = training.cuda.capture([&] { one.step(training); }, 2);
    training.look_and_check("after the capture");
    for (int i = 0; i < 2; ++i) {
      training.cuda.replay(graph);
      training.check("in a replay");
    }
    training.look_and_check("after a replay");
    training.cuda.replay(graph);
    training.cuda.replay(graph);
    training.look_and_check("after two");
    training.fill(.9f);
    training.cuda.replay(graph);
    training.check("in a replay after a write");
    training.look_and_check("after a replay after a write");
  }
}

TEST_CASE("a replay that writes parameters is known to a copy that came after its capture") {
  Training training;
  const CudaGraph graph = training.cuda.capture([&] { training.fill(.5f); });
  training.look_and_check("before");
  training.cuda.replay(graph);
  training.look_and_check("after");
}

TEST_CASE("a capture that ends in an exception leaves copies as they were") {
  for (const bool updates : {false, true}) {
    Training training;
    training.look_and_check("before");
    training.fill(.5f);
    CHECK_THROWS_AS((void)training.cuda.capture([&] {
      if (updates) training.update();
      training.look();
      training.fill(.6f);
      training.look();
      throw Interruption{};
    }),
                    Interruption);
    training.look_and_check("after");
  }
}
