// Whole language models on the GPU: loss and gradients of the CPU's, decoding, and captured steps that train as steps
// one by one do.

#include "cuda/support.cuh"

using namespace testing;

namespace {

constexpr Index kVocabulary = 90, kLength = 37, kSequences = 3, kWidth = 24;

template <class R, class I, class T>
using Model = LanguageModel<MoeLayer<R, I, TopM<2>, Mlp<Tanh>, Cpu<T>>>;

template <class M>
typename M::Config configuration(Index width = kWidth, Index heads = 3, Index positions = 40) {
  typename M::Config config;
  config.vocabulary = kVocabulary;
  config.positions = positions;
  config.blocks = 2;
  config.block.width = width;
  config.block.heads = heads;
  config.moe.width = width;
  config.moe.experts = 5;
  config.moe.hidden = {20};
  if constexpr (requires { config.moe.inhibition.earlier_widths; }) config.moe.inhibition.earlier_widths = {width};
  return config;
}

std::vector<int> words(std::uint64_t seed, Index count) {
  SequentialRandom random(seed, 1);
  std::vector<int> all(static_cast<std::size_t>(count));
  for (int& word : all) word = static_cast<int>(random.integer(0, kVocabulary - 1));
  return all;
}

template <class Ex>
View<const int> on_device(Ex& ex, const std::vector<int>& values) {
  const auto target = ex.integers({static_cast<Index>(values.size())});
  ex.backend().write(target, values.data());
  return target;
}

/// Loss and all gradients of one step, after another that fills averages and memories.
template <template <class> class M, class B>
std::vector<Numbers> outcome(B& backend) {
  using T = typename B::Scalar;
  M<T> model(configuration<M<T>>());
  Parameters<T> parameters(model, 4, backend.space());
  std::vector<Numbers> all;
  for (std::uint64_t step = 0; step < 2; ++step) {
    parameters.zero_gradients();
    auto labels = words(20 + step, kSequences * kLength);
    labels[5] = labels[50] = -1;
    Recording ex(backend);
    const auto ids = on_device(ex, words(10 + step, kSequences * kLength));
    const auto loss = model.loss(ex, ids, on_device(ex, labels), {.length = kLength});
    ex.backward(loss.total);
    all = {numbers(backend, View<T>(loss.total)), numbers(backend, View<T>(loss.losses))};
  }
  (void)parameters.gradients();
  for (const auto& entry : parameters.entries()) {
    const auto gradient = parameters.gradient_of(entry);
    all.emplace_back(gradient.begin(), gradient.end());
  }
  return all;
}

template <template <class> class M, class B>
void check_model(B& backend, double tolerance) {
  Cpu<double> cpu;
  const auto expected = outcome<M>(cpu), actual = outcome<M>(backend);
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO("number ", i);
    CHECK(distance(actual[i], expected[i]) <= tolerance);
  }
}

template <class T>
using Similar = Model<SimilarityInform<LinearRouter>, GluInhibition, T>;
template <class T>
using Attending = Model<AttentionInform<XMoeRouter>, GlobalInhibition, T>;

/// Mean, each row's loss and all gradients of a loss over a vocabulary, of which some rows do not count.
template <class B>
std::vector<Numbers> vocabulary_loss(B& backend, Index rows, Index width, Index classes) {
  using T = typename B::Scalar;
  Kept<B> x({rows, width}, Values<double>({rows, width}, 1).values),
      weight({classes, width}, Values<double>({classes, width}, 2).values),
      bias({classes}, Values<double>({classes}, 3).values);
  std::vector<int> labels(static_cast<std::size_t>(rows));
  for (Index i = 0; i < rows; ++i)
    labels[static_cast<std::size_t>(i)] = i % 7 == 3 ? -1 : static_cast<int>((i * 131 + i / 5) % classes);
  Recording ex(backend);
  const auto loss =
      projected_cross_entropy(ex, x.variable(), weight.variable(), bias.variable(), on_device(ex, labels));
  ex.backward(scale(ex, loss.mean, 3));
  return {numbers(backend, View<T>(loss.mean)), numbers(backend, View<T>(loss.losses)), x.gradient(), weight.gradient(),
          bias.gradient()};
}

}  // namespace

TEST_CASE("a loss over a vocabulary on the matrix unit equals the CPU's in double") {
  struct Extents {
    Index rows, width, classes;
  };
  for (const auto& [rows, width, classes] : {Extents{300, 33, 777}, {513, 62, 1000}, {256, 25, 100}, {260, 63, 50}}) {
    Cpu<double> cpu;
    Cuda<float> cuda;
    const auto expected = vocabulary_loss(cpu, rows, width, classes),
               actual = vocabulary_loss(cuda, rows, width, classes);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO(rows, " rows, ", width, " wide, number ", i);
      CHECK(distance(actual[i], expected[i]) <= 2e-3);
    }
    CHECK(vocabulary_loss(cuda, rows, width, classes) == actual);
  }
}

TEST_CASE("the gradient of a table that more rows read than are compared with each other equals the CPU's") {
  const auto gradient = [](auto& backend) {
    constexpr Index kRows = 17000, kWords = kVocabulary, kNumbers = 3;
    using B = std::remove_reference_t<decltype(backend)>;
    Kept<B> table({kWords, kNumbers}, Values<double>({kWords, kNumbers}, 1).values);
    Recording ex(backend);
    const auto y = embedding(ex, table.variable(), {}, on_device(ex, words(7, kRows)), kRows);
    ex.backward(
        scale(ex, batch_pool(ex, y.reshaped({kRows * kNumbers, 1}), Pooling::mean).reshaped(Shape::scalar()), 1e3));
    return table.gradient();
  };
  Cpu<double> cpu;
  Cuda<double> cuda;
  CHECK(distance(gradient(cuda), gradient(cpu)) <= 1e-12);
}

TEST_CASE("language models in double equal the CPU's") {
  Cuda<double> cuda;
  check_model<Similar>(cuda, 1e-10);
  check_model<Attending>(cuda, 1e-10);
}

TEST_CASE("language models in strict float equal the CPU's in double") {
  Cuda<float> cuda({.precision = Precision::strict});
  check_model<Similar>(cuda, 1e-4);
  check_model<Attending>(cuda, 1e-4);
}

TEST_CASE("decoding on the GPU gives what its full pass gives") {
  Cuda<double> cuda;
  Attending<double> model(configuration<Attending<double>>());
  const Parameters<double> parameters(model, 4, cuda.space());
  const auto ids = words(10, kLength);
  cuda.begin_step();
  const auto full = numbers(
      cuda, View<double>(model.logits(cuda, model.forward(cuda, on_device(cuda, ids), {.length = kLength}).hidden)));
  auto cache = model.make_cache(1, 40, cuda.space());
  Numbers decoded;
  for (Index i = 0; i < kLength; ++i) {
    cuda.begin_step();
    const auto row =
        numbers(cuda, View<double>(model.decode(cuda, on_device(cuda, {ids[static_cast<std::size_t>(i)]}), cache)));
    decoded.insert(decoded.end(), row.begin(), row.end());
  }
  CHECK(distance(decoded, full) < 1e-12);
}

TEST_CASE("texts go on with the CPU's words, greedy and drawn") {
  const auto go_on = [](auto& backend, double temperature) {
    Attending<double> model(configuration<Attending<double>>());
    const Parameters<double> parameters(model, 4, backend.space());
    return generate(backend, model, {words(10, 5), words(11, 9)}, {.tokens = 20, .temperature = temperature});
  };
  for (const double temperature : {0., 1.}) {
    Cuda<double> cuda;
    Cpu<double> cpu;
    CHECK(go_on(cuda, temperature) == go_on(cpu, temperature));
  }
}

/// The parameters after three steps and eight more, two of them captured and replayed.
template <class M>
std::vector<float> trained(const typename M::Config& config, Index length, bool captured) {
  M model(config);
  Cuda<float> cuda({.seed = 3});
  Parameters<float> parameters(model, 4, cuda.space());
  Adam<float> adam(parameters, {.learning_rate = 1e-2});
  Storage<int> ids(cuda.space()), labels(cuda.space());
  const auto read = words(10, kSequences * length), next = words(20, kSequences * length);
  ids.assign(read.data(), static_cast<Index>(read.size()));
  labels.assign(next.data(), static_cast<Index>(next.size()));
  const auto step = [&] {
    Recording ex(cuda);
    const View<const int> of_ids{ids.data(), {ids.size()}}, of_labels{labels.data(), {labels.size()}};
    ex.backward(model.loss(ex, of_ids, of_labels, {.length = length}).total);
    adam.step(cuda, parameters);
  };
  for (int i = 0; i < 3; ++i) step();
  REQUIRE(cuda.settled());
  if (captured) {
    const CudaGraph graph = cuda.capture(step, 2);
    for (int i = 0; i < 4; ++i) cuda.replay(graph);
    cuda.check();
  } else {
    for (int i = 0; i < 8; ++i) step();
  }
  std::vector<float> values;
  for (const auto& entry : parameters.entries())
    for (const float v : parameters.values_of(entry)) values.push_back(v);
  return values;
}
template <class M>
void check_captured(const typename M::Config& config, Index length) {
  const auto expected = trained<M>(config, length, false);
  REQUIRE(std::all_of(expected.begin(), expected.end(), [](float value) { return std::isfinite(value); }));
  CHECK(trained<M>(config, length, true) == expected);
}

TEST_CASE("captured steps of a language model train as steps one by one do") {
  check_captured<Attending<float>>(configuration<Attending<float>>(), kLength);
}

TEST_CASE("captured steps train as steps one by one do where attention and mutual-inform routing have long sequences") {
  constexpr Index kLong = 301;  // Hopper's matrix unit takes part
  check_captured<Attending<float>>(configuration<Attending<float>>(64, 2, kLong), kLong);
  check_captured<Similar<float>>(configuration<Similar<float>>(64, 2, kLong), kLong);
}
