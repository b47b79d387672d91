// What may not be captured, what a capture leaves as it was, and which replays are refused.

#include <cstring>
#include <functional>
#include <memory>

#include "cuda/support.cuh"

using namespace testing;

namespace {

static_assert(Backend<Cuda<float>> && Backend<Cuda<double>>);

struct Interruption {};

/// Leaves an address on the stack, where later calls take their memory.
[[gnu::noinline]] void leave_on_stack(const void* address) {
  const void* volatile words[2048];
  for (const void* volatile& word : words) word = address;
}

constexpr Index kBatch = 6, kIn = 5, kOut = 4, kMax = 40;

/// A layer that sees the mean of its results in the step before.
struct Model {
  nn::Linear<float> layer{kIn, kOut};
  Buffer<float> before;

  void visit(auto&& v) {
    v("layer", layer);
    v("before", before);
  }
};

struct Training {
  Cuda<float> cuda{{.seed = 5}};
  Model model;
  Parameters<float> parameters{model, 5, cuda.space()};
  Adam<float> adam{parameters, {.learning_rate = 1e-2}};
  Kept<Cuda<float>> x{{kMax, kIn}, Values<double>({kMax, kIn}, 3).values};
  Storage<int> labels{cuda.space()};

  Training() { set_labels(kMax); }
  void set_labels(Index count) {
    std::vector<int> numbers;
    for (Index i = 0; i < count; ++i) numbers.push_back(static_cast<int>(i % kOut));
    labels.assign(numbers.data(), count);
  }
  Tensor<float> backward(Index batch = kBatch) {
    Recording ex(cuda);
    Tensor<float> rows = x.constant();
    rows.shape = {batch, kIn};
    const auto kept = recall(ex, model.before);
    const auto y = dropout(ex, model.layer(ex, rows), .2);
    auto loss = cross_entropy(ex, y, {labels.data(), {batch}});
    if (kept.defined()) {
      const auto mean = batch_pool(ex, kept, Pooling::mean);
      loss = sum(ex, {loss, cross_entropy(
                                ex, gated_activation(ex, mean, batch_pool(ex, y, Pooling::mean), Activation::identity),
                                {labels.data(), {1}})});
    }
    remember(ex, y, model.before);
    ex.backward(loss);
    return loss;
  }
  void step(Index batch = kBatch) {
    (void)backward(batch);
    adam.step(cuda, parameters);
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) step();
  }
  [[nodiscard]] CudaGraph captured() {
    return cuda.capture([&] { step(); });
  }
  std::vector<float> values() {
    cuda.check();
    std::vector<float> all = parameters.states()[0].values.to_host();
    for (const auto& entry : parameters.entries())
      for (const float value : parameters.values_of(entry)) all.push_back(value);
    all.push_back(static_cast<float>(adam.state().steps));
    all.push_back(static_cast<float>(cuda.random().step));
    return all;
  }
};

}  // namespace

TEST_CASE("a replay on a memory of another batch is refused, and goes on after a step of the captured size") {
  Training replayed, one_by_one;
  replayed.steps(3), one_by_one.steps(3);
  const CudaGraph graph = replayed.captured();
  replayed.step(kBatch - 2), one_by_one.step(kBatch - 2);
  check_error<ConfigError>([&] { replayed.cuda.replay(graph); }, {"post-text memory of shape [6, 4]", "[4, 4]"});
  replayed.step(kBatch - 2), one_by_one.step(kBatch - 2);
  REQUIRE(replayed.cuda.settled());
  check_error<ConfigError>([&] { replayed.cuda.replay(graph); }, {"post-text memory of shape [6, 4]", "[4, 4]"});
  replayed.step(), one_by_one.steps(1 + 2);
  for (int i = 0; i < 2; ++i) replayed.cuda.replay(graph);
  CHECK(replayed.values() == one_by_one.values());
}

TEST_CASE("a replay on memory that a larger batch has moved is refused for good") {
  Training training;
  training.steps(3);
  const CudaGraph graph = training.captured();
  training.step(kMax);
  training.steps(3);
  check_error<ConfigError>([&] { training.cuda.replay(graph); }, {"freed or has moved", "capture again"});
  const CudaGraph again = training.captured();
  training.cuda.replay(again);
  training.cuda.check();
}

TEST_CASE("a replay on data or parameters that have gone is refused") {
  Training training;
  training.steps(3);
  const CudaGraph graph = training.captured();
  training.cuda.replay(graph);
  training.set_labels(2000);
  check_error<ConfigError>([&] { training.cuda.replay(graph); }, {"freed or has moved"});

  Cuda<float> cuda;
  CudaGraph of_gone;
  {
    nn::Linear<float> layer(3, 2);
    Parameters<float> parameters(layer, 1, cuda.space());
    Sgd<float> sgd(parameters, {});
    const auto step = [&] {
      cuda.begin_training_step();
      sgd.step(cuda, parameters);
    };
    step();
    of_gone = cuda.capture(step);
  }
  check_error<ConfigError>([&] { cuda.replay(of_gone); }, {"freed or has moved"});
}

TEST_CASE("a larger step between capture and replay leaves the captured one's memory alone") {
  Training replayed, one_by_one;
  replayed.steps(3), one_by_one.steps(3);
  const CudaGraph graph = replayed.captured();
  for (Training* training : {&replayed, &one_by_one}) {
    training->cuda.begin_step();
    (void)training->cuda.tensor({1 << 20, 8}, false);
  }
  for (int i = 0; i < 2; ++i) replayed.cuda.replay(graph), one_by_one.step();
  CHECK(replayed.values() == one_by_one.values());
}

TEST_CASE("a replay that would lose gradients is refused") {
  Training training;
  training.steps(3);
  const CudaGraph graph = training.captured();
  (void)training.backward();
  check_error<ConfigError>([&] { training.cuda.replay(graph); }, {"gradients", "some that wait for an update"});
  training.parameters.zero_gradients();
  training.cuda.replay(graph);
  training.cuda.check();
}

TEST_CASE("whatever goes wrong while a step is captured, training goes on as if it had not been") {
  struct Mishap {
    const char* name;
    std::function<void(Training&)> after_backward;
  };
  Training untouched;
  untouched.steps(5);
  const auto expected = untouched.values();
  const float number = 1;
  for (const Mishap& mishap : {
           Mishap{"an exception", [](Training&) { throw Interruption{}; }},
           Mishap{"a read", [](Training& t) { (void)t.cuda.read(View<int>{t.labels.data(), {1}}); }},
           Mishap{"a value", [](Training& t) { (void)t.cuda.value(t.x.constant().data); }},
           Mishap{"a check", [](Training& t) { t.cuda.check(); }},
           Mishap{"a write", [&](Training& t) { t.cuda.write(View<float>{t.x.constant().data, {1}}, &number); }},
           Mishap{"a copy", [](Training& t) { (void)t.labels.to_host(); }},
           Mishap{"an allocation", [](Training& t) { (void)t.cuda.tensor({1 << 20, 16}, false); }},
           Mishap{"a step of another size", [](Training& t) { t.step(kBatch + 1); }},
           Mishap{"a capture", [](Training& t) { (void)t.captured(); }},
       }) {
    CAPTURE(mishap.name);
    Training training;
    training.steps(3);
    int calls = 0;
    CHECK_THROWS((void)training.cuda.capture(
        [&] {
          (void)training.backward();
          if (++calls == 2) mishap.after_backward(training);
          training.adam.step(training.cuda, training.parameters);
        },
        2));
    CHECK(calls == 2);
    training.steps(1);
    const CudaGraph graph = training.captured();
    training.cuda.replay(graph);
    CHECK(training.values() == expected);
  }
}

TEST_CASE("calls that need the host are refused within a captured step by name") {
  Training training;
  training.steps(3);
  const float number = 1;
  const auto text_of = [&](const auto& call) {
    return message_of<ConfigError>([&] { (void)training.cuda.capture([&] { call(); }); });
  };
  CHECK(text_of([&] { training.cuda.check(); }).starts_with("read: expected a call between steps"));
  CHECK(text_of([&] {
          training.cuda.write(View<float>{training.x.constant().data, {1}}, &number);
        }).starts_with("write: expected a call between steps"));
  const CudaGraph graph = training.captured();
  CHECK(text_of([&] { training.cuda.replay(graph); }).starts_with("replay: expected a call between steps"));
}

TEST_CASE("the first step, which finds no memory, cannot be captured, and stays the first") {
  Training training, untouched;
  untouched.steps(2);
  check_error<CudaError>([&] { (void)training.captured(); }, {"take no more memory"});
  (void)training.cuda.tensor({1}, false);
  check_error<ConfigError>([&] { (void)training.captured(); }, {"capture", "settled"});
  CHECK(training.parameters.states()[0].shape.size() == 0);
  training.steps(2);
  CHECK(training.values() == untouched.values());
}

TEST_CASE("graphs are replayed by the backend that captured them") {
  Training training, other;
  training.steps(3);
  const CudaGraph graph = training.captured();
  check_error<ConfigError>([&] { other.cuda.replay(graph); }, {"replay", "another backend's"});
  check_error<ConfigError>([&] { other.cuda.replay({}); }, {"replay", "an empty one"});
  check_error<ConfigError>([&] { (void)training.cuda.capture([] {}, 0); }, {"capture", "steps ≥ 1", "0"});
}

TEST_CASE("an address in the padding of what a step uses is not used") {
  struct alignas(16) Padded {
    const float* used;
  };
  Training training, untouched;
  training.steps(3);
  untouched.steps(4);
  auto freed = std::make_unique<Storage<float>>(training.cuda.space());
  freed->assign_zeros(4);
  const float* const words[] = {training.x.constant().data, freed->data()};
  Padded padded{};
  static_assert(sizeof words == sizeof padded);
  std::memcpy(static_cast<void*>(&padded), words, sizeof words);
  const CudaGraph graph = training.cuda.capture([&] {
    training.step();
    training.cuda.uses(padded);
  });
  freed.reset();
  training.cuda.replay(graph);
  CHECK(training.values() == untouched.values());
}

TEST_CASE("of an argument with a long array every pointer is used, and no padding") {
  struct Entry {
    const float* data;
    Index row_step, column_step;
  };
  struct Argument {
    Entry entries[3];
    bool adds;
  };
  Training training;
  training.steps(3);
  std::vector<Storage<float>> storages(4, Storage<float>(training.cuda.space()));
  for (auto& storage : storages) storage.assign_zeros(4);
  const float* words[sizeof(Argument) / sizeof(float*)] = {};
  for (std::size_t i = 0; i < storages.size(); ++i) words[3 * i] = storages[i].data();
  Argument argument{};
  std::memcpy(static_cast<void*>(&argument), words, sizeof words);
  for (const std::size_t used : {0, 1, 2}) {
    CAPTURE(used);
    const CudaGraph graph = training.cuda.capture([&] {
      training.step();
      training.cuda.uses(argument);
    });
    if (used == 0) storages.pop_back();
    training.cuda.replay(graph);
    storages[used] = Storage<float>(training.cuda.space());
    check_error<ConfigError>([&] { training.cuda.replay(graph); }, {"freed or has moved"});
  }
}

TEST_CASE("an address that calls before left on the stack is not used") {
  Training training, untouched;
  training.steps(3);
  untouched.steps(4);
  auto ended = std::make_unique<Training>();
  const std::vector<GateTerm<float>> terms{{training.x.constant()}};
  const CudaGraph graph = training.cuda.capture([&] {
    training.step();
    leave_on_stack(ended->x.constant().data);
    (void)gate<Cuda<float>>(training.cuda, training.x.constant(), terms);
  });
  ended.reset();
  training.cuda.replay(graph);
  CHECK(training.values() == untouched.values());
}

TEST_CASE("the address behind what a step uses is not what comes next in memory") {
  constexpr Index kSize = 128;  // 512 bytes: the driver hands out such pieces side by side
  Training training, untouched;
  training.steps(3);
  untouched.steps(4);
  std::vector<Storage<float>> used, others;
  for (int i = 0; i < 32; ++i)
    for (auto* storages : {&used, &others}) {
      storages->emplace_back(training.cuda.space());
      storages->back().assign_zeros(kSize);
    }
  const CudaGraph graph = training.cuda.capture([&] {
    training.step();
    for (const auto& storage : used) training.cuda.uses(storage.data() + kSize);
  });
  others.clear();
  training.cuda.replay(graph);
  CHECK(training.values() == untouched.values());
  used.pop_back();
  check_error<ConfigError>([&] { training.cuda.replay(graph); }, {"freed or has moved"});
}
