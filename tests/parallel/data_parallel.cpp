#include <neuroinhib/analysis/routing.hpp>

#include "ranks.hpp"

using namespace neuroinhib;
using testing::distance;
using testing::kRounding;
using testing::Many;
using testing::Values;
using testing::world;

namespace {

constexpr Index kWidth = 12, kSteps = 4;

/// This rank's rows of a batch.
template <class T>
Tensor<T> rows_of(Values<T>& all, const Share& share) {
  Tensor<T> rows = all.constant();
  const Index each = all.shape.size() / share.total;
  rows.data += share.begin * each;
  rows.shape = {share.count() * (rows.rows() / share.total), rows.cols()};
  return rows;
}
View<const int> rows_of(const std::vector<int>& all, const Share& share) {
  const Index each = static_cast<Index>(all.size()) / share.total;
  return {all.data() + share.begin * each, {share.count() * each}};
}

template <class T>
Values<T> batch(Index rows, std::uint64_t seed) {
  return {{rows, kWidth}, seed};
}
std::vector<int> labels_of(Index rows, int classes) {
  std::vector<int> labels;
  for (Index i = 0; i < rows; ++i) labels.push_back(static_cast<int>(i * 5 % classes));
  return labels;
}

/// What training leaves: parameters, states and the loss of each step.
template <class T>
struct Trained {
  std::vector<T> values;
  std::vector<std::vector<T>> states;  ///< those without a row a token
  std::vector<double> losses;

  Trained(Parameters<T>& parameters, std::vector<double> of_steps)
      : values(parameters.values().begin(), parameters.values().end()), losses(std::move(of_steps)) {
    for (const auto& state : parameters.states())
      if (state.form.start.size() > 0) states.push_back(state.values.to_host());
  }
};
template <class T>
void check_alike(const Trained<T>& a, const Trained<T>& b) {
  REQUIRE(a.values.size() == b.values.size());
  CHECK(distance(a.values.data(), b.values.data(), static_cast<Index>(a.values.size())) < kRounding<T>);
  for (std::size_t i = 0; i < a.states.size(); ++i) {
    REQUIRE(a.states[i].size() == b.states[i].size());
    CHECK(distance(a.states[i].data(), b.states[i].data(), static_cast<Index>(a.states[i].size())) < kRounding<T>);
  }
  for (std::size_t i = 0; i < a.losses.size(); ++i)
    CHECK(a.losses[i] == doctest::Approx(b.losses[i]).epsilon(kRounding<T>));
}

/// The loss of all ranks.
template <class B, class T>
double loss_of_all(B& backend, const Tensor<T>& part) {
  Tensor<T> loss = part.detached();
  return static_cast<double>(all_reduce(backend, loss.reshaped({1}))[0]);
}

/// Trains a layer on batches of changing size. `change` sets options.
template <class Layer, class B>
Trained<typename B::Scalar> train_layer(B& backend, typename Layer::Config config) {
  using T = typename B::Scalar;
  config.width = kWidth;
  config.experts = 5;
  config.hidden = {9};
  Layer layer(config);
  Parameters<T> parameters(layer, 3);
  Sgd<T> sgd(parameters, {.learning_rate = .1, .momentum = .9});
  std::vector<double> losses;
  for (Index step = 0; step < kSteps; ++step) {
    const Index rows = 4 * (4 + step % 2) + (step == 2 ? 3 : 0);
    const Share share = share_batch(backend, rows);
    auto x = batch<T>(rows, static_cast<std::uint64_t>(step));
    const auto labels = labels_of(rows, kWidth);
    const Tensor<T> own = rows_of(x, share);
    const std::vector<Tensor<T>> earlier{own};
    Recording ex(backend);
    const auto out = layer.forward(ex, dropout(ex, own, .2), earlier);
    const auto loss = sum(ex, {cross_entropy<decltype(ex)>(ex, out.y, rows_of(labels, share)), out.auxiliary});
    ex.backward(loss);
    (void)clip_gradient_norm(backend, parameters, .5);
    sgd.step(backend, parameters);
    losses.push_back(loss_of_all(backend, loss));
  }
  return {parameters, losses};
}

template <class Layer, class T>
void check_layer(typename Layer::Config config) {
  Cpu<T> one({.seed = 7});
  Many<T> many(*world(), CpuOptions{.seed = 7});
  check_alike(train_layer<Layer>(many, config), train_layer<Layer>(one, config));
}

}  // namespace

TEST_CASE_TEMPLATE("a layer with every term and loss learns on many ranks what it learns on one", T, float, double) {
  using Layer = MoeLayer<TwoLayerRouter<Tanh>, GlobalInhibition, NoisyTopK<2>, SwiGlu, Cpu<T>>;
  typename Layer::Config config{
      .auxiliary = {.importance = .1, .z = .01}, .router = {.hidden = 7}, .mix = {.load_weight = .1}};
  config.inhibition.earlier_widths = {kWidth};
  check_layer<Layer, T>(config);
}

TEST_CASE_TEMPLATE("what experts drop of a token is the same on many ranks as on one", T, float, double) {
  using Layer = MoeLayer<LinearRouter, NoInhibition, TopP<3>, Mlp<Tanh>, Cpu<T>>;
  typename Layer::Config config{.mix = {.p = .7}};
  config.expert.dropout = .4;
  check_layer<Layer, T>(config);
}

namespace {

/// What a language model with a span learns of texts that go on from batch to batch.
template <class B>
Trained<double> train_spans(B& backend) {
  using Model = LanguageModel<MoeLayer<SimilarityInform<LinearRouter>, NoInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>>;
  constexpr Index kTexts = 8, kLength = 5;
  constexpr int kWords = 11;
  Model::Config config{.vocabulary = kWords, .positions = kLength, .blocks = 2};
  config.block = {.width = 8, .heads = 2, .norm = NormPlace::after, .dropout = .1, .span = 7};
  config.moe = {.width = 8, .experts = 4, .hidden = {6}, .auxiliary = {.balance = .1}};
  config.moe.expert.dropout = .1;
  Model model(config);
  Parameters<double> parameters(model, 3);
  Adam<double> adam(parameters, {.learning_rate = .01});
  std::vector<double> losses;
  for (int step = 0; step < 5; ++step) {
    std::vector<int> ids, labels;
    for (int i = 0; i < kTexts * kLength; ++i) {
      ids.push_back((i * 7 + step * 3) % kWords);
      labels.push_back((i * 5 + step) % kWords);
    }
    const Share share = share_batch(backend, kTexts);
    Recording ex(backend);
    const auto loss =
        model.loss(ex, rows_of(ids, share), rows_of(labels, share), {.length = kLength, .continues = step > 0});
    ex.backward(loss.total);
    adam.step(backend, parameters);
    losses.push_back(loss_of_all(backend, loss.total));
  }
  return {parameters, losses};
}

}  // namespace

TEST_CASE("texts that go on from batch to batch are learned on many ranks as on one") {
  Cpu<double> one({.seed = 7});
  Many<double> many(*world(), CpuOptions{.seed = 7});
  check_alike(train_spans(many), train_spans(one));
}

TEST_CASE("balance loss, bias and pooling by mean are those of all ranks") {
  using Layer = MoeLayer<LinearRouter, PosttextInhibition, BalancedTopM<2>, Mlp<Tanh>, Cpu<double>>;
  Layer::Config config{.auxiliary = {.balance = .2}, .mix = {.rate = .05}};
  config.inhibition.pooling = Pooling::mean;
  config.inhibition.evaluation = PosttextEvaluation::average;
  check_layer<Layer, double>(config);
}

TEST_CASE("one rank gives the bits of a plain backend, and pools rows that several ranks cannot") {
  using Layer = MoeLayer<LinearRouter, PosttextInhibition, BalancedTopM<2>, Mlp<Tanh>, Cpu<double>>;
  Layer::Config config{.auxiliary = {.balance = .2}, .mix = {.rate = .05}};
  Mpi self({.group = MPI_COMM_SELF});
  for (const Pooling pooling : {Pooling::max, Pooling::mean, Pooling::row}) {
    config.inhibition.pooling = pooling;
    Cpu<double> plain({.seed = 7});
    Ranks<Cpu<double>, Mpi> single(self, CpuOptions{.seed = 7});
    const auto a = train_layer<Layer>(single, config), b = train_layer<Layer>(plain, config);
    CHECK(a.values == b.values);
    CHECK(a.states == b.states);
    CHECK(a.losses == b.losses);
  }
}

namespace {

using Plain = MoeLayer<LinearRouter, GluInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>;

/// The parameters after some steps of a layer whose loss is a sum over tokens. `step` makes the gradients.
template <class B, class Step>
std::vector<double> values_after(B& backend, const Shard& shard, const Step& step) {
  Plain layer({.width = kWidth, .experts = 5, .hidden = {9}});
  Parameters<double> parameters(layer, 3);
  Adam<double> adam(parameters, {.learning_rate = .01}, shard);
  for (std::uint64_t number = 0; number < 3; ++number) {
    step(layer, parameters, number);
    adam.step(backend, parameters);
  }
  return {parameters.values().begin(), parameters.values().end()};
}

/// A step on part `rank` of `ranks`.
template <class B>
void step_of(B& backend, const Plain& layer, std::uint64_t number, Index rank, Index ranks) {
  const Index rows = 8 * ranks;
  auto x = batch<double>(rows, number);
  const auto labels = labels_of(rows, kWidth);
  const Share part = Share::of(rows, rank, ranks);
  Recording ex(backend);
  const auto y = layer.forward(ex, rows_of(x, part)).y;
  const auto mean = cross_entropy<decltype(ex)>(ex, y, rows_of(labels, part));
  ex.backward(kAlone<B> ? scale(ex, mean, 1.0 / static_cast<double>(ranks)) : mean);
}

}  // namespace

TEST_CASE("many ranks give the bits of one process that adds up their parts, and sharding changes none") {
  const Index ranks = world()->size(), own = world()->rank();
  Many<double> many(*world());
  Cpu<double> one;
  const auto on_ranks = [&](const Plain& layer, const Parameters<double>&, std::uint64_t number) {
    step_of(many, layer, number, own, ranks);
  };
  const auto together = values_after(many, {}, on_ranks);
  const auto apart =
      values_after(one, {}, [&](const Plain& layer, Parameters<double>& parameters, std::uint64_t number) {
        std::vector<double> sum;
        for (Index r = 0; r < ranks; ++r) {
          parameters.zero_gradients();
          step_of(one, layer, number, r, ranks);
          const View<double> gradient = parameters.gradients();
          if (r == 0) sum.assign(gradient.begin(), gradient.end());
          for (Index i = 0; i < gradient.size() && r > 0; ++i) sum[static_cast<std::size_t>(i)] += gradient[i];
        }
        std::copy(sum.begin(), sum.end(), parameters.gradients().data);
      });
  CHECK(together == apart);
  const Shard shard{static_cast<Index>(together.size()), own, ranks};
  CHECK(shard.count() < shard.size);
  CHECK(together == values_after(many, shard, on_ranks));
  Many<double> same(*world());
  for (const double value : together) {
    same.begin_step();
    std::vector<double> own_value{value};
    if (all_reduce(same, tensor(own_value, {1}), Reduction::max)[0] != value) FAIL("ranks have drifted apart");
  }
}

namespace {

/// Two layers with one weight, one that no loss reaches, and a sum that has a parameter in it.
struct Tied {
  nn::Linear<double> first{kWidth, kWidth}, both{kWidth, kWidth}, unused{kWidth, 100}, last{kWidth, kWidth};

  void visit(auto&& v) {
    v("first", first);
    v("both", both);
    v("unused", unused);
    v("last", last);
  }
  template <Executor Ex>
  Tensor<double> forward(Ex& ex, const Tensor<double>& x) const {
    const Tensor<double> hidden = activate(ex, both(ex, first(ex, x)), Activation::tanh);
    const Tensor<double> weight = sum<Ex>(ex, {both.weight, last.weight});
    return sum(ex, {last(ex, both(ex, hidden)), linear(ex, hidden, weight)});
  }
};

/// MPI, and whether the first layer had its gradient when the first bucket set out.
struct Watched : Mpi {
  using Mpi::Mpi;
  const bool* first_is_written = nullptr;
  int started = 0;
  bool early = false;

  template <class B>
  void start(B& backend, const char* operation, int channel, std::span<const Parcel> out, std::span<const Parcel> in) {
    if (started++ == 0) early = !*first_is_written;
    Mpi::start(backend, operation, channel, out, in);
  }
};

/// Trains by passes of two micro-batches; last(ex, loss, parameters) is the second one's.
template <class B, class Last>
std::vector<double> train_tied(B& backend, const Shard& shard, const Last& last) {
  Tied model;
  Parameters<double> parameters(model, 3);
  Adam<double> adam(parameters, {.learning_rate = .01}, shard);
  const Share share = share_batch(backend, 9);
  for (std::uint64_t step = 0; step < 3; ++step) {
    for (std::uint64_t half = 0; half < 2; ++half) {
      auto x = batch<double>(9, 2 * step + half);
      const auto labels = labels_of(9, kWidth);
      Recording ex(backend);
      const auto loss = cross_entropy<decltype(ex)>(ex, model.forward(ex, rows_of(x, share)), rows_of(labels, share));
      if (half == 0)
        ex.backward(loss);
      else
        last(ex, loss, parameters);
    }
    if (step > 0) (void)clip_gradient_norm(backend, parameters, .1);
    adam.step(backend, parameters);
  }
  return {parameters.values().begin(), parameters.values().end()};
}

}  // namespace

TEST_CASE("gradients that travel while the backward pass runs have the bits of those added up afterwards") {
  Watched watched;
  Ranks<Cpu<double>, Watched> many(watched);
  const auto expected = train_tied(many, {}, [](auto& ex, const auto& loss, auto&) { ex.backward(loss); });
  CHECK(watched.started == 0);
  const Shard whole, shard{static_cast<Index>(expected.size()), many.rank(), many.size()};
  struct Case {
    Index bucket;
    Shard summed, updated;
  };
  // One number a bucket, some of a tensor, tensors and parts of others, all at once.
  for (const Case& of : {Case{7, whole, whole},
                         {100, whole, shard},
                         {1 << 20, whole, whole},
                         {7, shard, shard},
                         {100, shard, whole},
                         {1 << 20, shard, shard}}) {
    watched.started = 0;
    const auto values = train_tied(many, of.updated, [&](auto& ex, const auto& loss, auto& parameters) {
      watched.first_is_written = parameters["first.weight"].gradient_written;
      backward_and_sum(ex, loss, parameters, {.bucket = of.bucket, .shard = of.summed});
    });
    CHECK(values == expected);
    CHECK(watched.started > 0);
  }
}

TEST_CASE("the last layers' gradients travel before the first layer has its own, and twice is refused") {
  Watched watched;
  Ranks<Cpu<double>, Watched> many(watched);
  Tied model;
  Parameters<double> parameters(model, 3);
  auto x = batch<double>(4, 1);
  const auto labels = labels_of(4, kWidth);
  Recording ex(many);
  const auto loss = cross_entropy(ex, model.forward(ex, x.constant()), labels);
  watched.first_is_written = parameters["first.weight"].gradient_written;
  backward_and_sum(ex, loss, parameters, {.bucket = 64});
  CHECK(watched.early);
  testing::check_error<ConfigError>([&] { backward_and_sum(ex, loss, parameters); },
                                    {"not yet added up", "once an update"});
  testing::check_error<ConfigError>([&] { backward_and_sum(ex, loss, parameters, {.bucket = 0}); }, {"bucket"});
}

namespace {

/// MPI, and the bytes that this rank sends.
struct Weighed : Mpi {
  using Mpi::Mpi;
  std::size_t sent = 0;

  void add(std::span<const Parcel> out) {
    for (const Parcel& parcel : out) sent += parcel.bytes;
  }
  template <class B>
  void exchange(B& backend, const char* operation, std::span<const Parcel> out, std::span<const Parcel> in) {
    add(out);
    Mpi::exchange(backend, operation, out, in);
  }
  template <class B>
  void start(B& backend, const char* operation, int channel, std::span<const Parcel> out, std::span<const Parcel> in) {
    add(out);
    Mpi::start(backend, operation, channel, out, in);
  }
};

/// Two steps of a layer of two windows, and what they take.
struct Costs {
  static constexpr Index kWide = 2895;
  std::vector<float> values;
  std::size_t sent, step_memory, moments, gradient;

  Costs(bool sharded, Index bucket) {
    Weighed weighed;
    Ranks<Cpu<float>, Weighed> many(weighed);
    nn::Linear<float> layer(kWide, kWide);
    Parameters<float> parameters(layer, 3);
    Adam<float> adam(parameters, {.learning_rate = .01}, sharded ? shard_of(many, parameters) : Shard{});
    const Share share = many.share_batch(4);
    for (std::uint64_t step = 0; step < 2; ++step) {
      Values<float> x({4, kWide}, step);
      const std::vector<int> labels{1, 2, 3, 4};
      Recording ex(many);
      const auto loss = cross_entropy<decltype(ex)>(ex, layer(ex, rows_of(x, share)), rows_of(labels, share));
      weighed.sent = 0;
      if (bucket > 0)
        backward_and_sum(ex, loss, parameters, {.bucket = bucket, .shard = adam.shard()});
      else
        ex.backward(loss);
      adam.step(many, parameters);
    }
    values.assign(parameters.values().begin(), parameters.values().end());
    sent = weighed.sent;
    step_memory = many.arena().peak_bytes();
    moments = adam.state().first.to_host().size() * sizeof(float);
    gradient = static_cast<std::size_t>(parameters.size()) * sizeof(float);
  }
};

}  // namespace

TEST_CASE("a sharded optimizer keeps its share of the moments, sends what a sum does, and needs little for it") {
  const auto ranks = static_cast<std::size_t>(world()->size());
  const Costs whole(false, 0);
  CHECK(whole.moments == whole.gradient);
  for (const Index bucket : {Index{0}, Shard::kWindow, Index{1} << 16}) {
    const Costs sharded(true, bucket);
    CHECK(sharded.values == whole.values);
    CHECK(sharded.moments <= sharded.gradient / ranks + 256);
    CHECK(sharded.sent <= 2 * (sharded.gradient - sharded.gradient / ranks) + 4096);
    CHECK(sharded.step_memory < sharded.gradient * (bucket < Shard::kWindow && bucket > 0 ? 1 : 5) / 4);
    if (bucket == 0) CHECK(sharded.step_memory < sharded.gradient * 3 / 4);
  }
}

TEST_CASE("a shard belongs to its rank") {
  Many<double> many(*world());
  nn::Linear<double> layer(kWidth, kWidth);
  Parameters<double> parameters(layer, 3);
  Sgd<double> sgd(parameters, {}, shard_of(many, parameters));
  Cpu<double> one;
  testing::check_error<ConfigError>([&] { sgd.step(one, parameters); }, {"whose shard it keeps", "rank 0 of 1"});
  testing::check_error<ConfigError>([&] { Adam<double>(parameters, {}, Shard{16, 0, 2}); }, {"one of 16"});
}

namespace user {

/// y = x, where x is behind a pointer that the operation does not show.
template <class T>
struct Behind {
  static constexpr const char* name = "behind";
  const Tensor<T>* x;
  Tensor<T> y;
};

template <class T>
void forward(Cpu<T>& cpu, const Behind<T>& op) {
  cpu.parallel_for(op.y.size(), [&](Index i) { op.y[i] = (*op.x)[i]; });
}

template <class T>
void backward(Cpu<T>& cpu, const Behind<T>& op) {
  const auto dx = op.x->claim_gradient();
  cpu.parallel_for(op.y.size(), [&](Index i) { dx.put(i, op.y.gradient[i]); });
}

}  // namespace user

TEST_CASE("an operation that hides a parameter is told of before its gradient is taken for the sum") {
  Many<double> many(*world());
  nn::Linear<double> layer(kWidth, kWidth);
  Parameters<double> parameters(layer, 3);
  auto x = batch<double>(4, 1);
  const auto labels = labels_of(4, kWidth);
  Recording ex(many);
  const Tensor<double> own = parameters["weight"], weight = ex.tensor(own.shape, true);
  ex.run(user::Behind<double>{&own, weight});
  const auto loss = cross_entropy(ex, linear(ex, x.constant(), weight), labels);
  testing::check_error<ConfigError>([&] { backward_and_sum(ex, loss, parameters); },
                                    {"weight behind a pointer", "further_tensors()"});
}

namespace {

constexpr Index kLength = 6, kTexts = 5;

/// Trains a language model on texts with padding, and with labels that do not count.
template <class Layer, class B>
Trained<typename B::Scalar> train_language_model(B& backend) {
  using T = typename B::Scalar;
  using Model = LanguageModel<Layer>;
  typename Model::Config config{
      .vocabulary = 11, .positions = kLength, .blocks = 2, .block = {.width = 8, .heads = 2, .dropout = .1}};
  config.moe = {.width = 8, .experts = 4, .hidden = {8}, .auxiliary = {.importance = .1, .balance = .1}};
  Model model(config);
  Parameters<T> parameters(model, 3);
  Sgd<T> sgd(parameters, {.learning_rate = .2});
  std::vector<int> ids, labels, documents;
  for (Index i = 0; i < kTexts * kLength; ++i) {
    const bool padding = i % kLength >= 4 + i / kLength % 3;
    ids.push_back(static_cast<int>(i * 7 % 11));
    labels.push_back(padding || i % 5 == 0 ? -1 : static_cast<int>(i * 3 % 11));
    documents.push_back(padding ? -1 : 0);
  }
  std::vector<double> losses;
  for (Index step = 0; step < kSteps; ++step) {
    const Share share = share_batch(backend, kTexts);
    Recording ex(backend);
    const auto loss = model.template loss<decltype(ex)>(ex, rows_of(ids, share), rows_of(labels, share),
                                                        {.length = kLength, .document = rows_of(documents, share)});
    ex.backward(loss.total);
    sgd.step(backend, parameters);
    losses.push_back(loss_of_all(backend, loss.total));
  }
  return {parameters, losses};
}
template <class Layer>
void check_language_model() {
  using T = typename Layer::Scalar;
  Cpu<T> one({.seed = 7});
  Many<T> many(*world(), CpuOptions{.seed = 7});
  check_alike(train_language_model<Layer>(many), train_language_model<Layer>(one));
}

}  // namespace

TEST_CASE("a language model whose tokens inform one another learns on many ranks what it learns on one") {
  check_language_model<MoeLayer<AttentionInform<LinearRouter>, NoInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>>();
  check_language_model<
      MoeLayer<SimilarityInform<LinearRouter>, GluInhibition, ExpertChoice<2>, Mlp<Tanh>, Cpu<float>>>();
}

TEST_CASE("a language model on one rank has the bits of a plain backend") {
  using Layer = MoeLayer<AttentionInform<LinearRouter>, NoInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>;
  Mpi self({.group = MPI_COMM_SELF});
  Many<double> single(self, CpuOptions{.seed = 7});
  Cpu<double> plain({.seed = 7});
  const auto a = train_language_model<Layer>(single), b = train_language_model<Layer>(plain);
  CHECK(a.values == b.values);
  CHECK(a.losses == b.losses);
}

TEST_CASE("statistics of routing are those of all ranks, and a batch smaller than the ranks is refused") {
  const Index rows = 13;
  const auto counts_of = [&](auto& backend) {
    Plain layer({.width = kWidth, .experts = 5});
    Parameters<double> parameters(layer, 3);
    auto x = batch<double>(rows, 1);
    const auto out = layer.forward(backend, rows_of(x, share_batch(backend, rows)));
    return analyse(backend, routing_counts(backend, out.routing));
  };
  Cpu<double> one;
  Many<double> many(*world());
  const auto a = counts_of(many), b = counts_of(one);
  CHECK(a.slots == b.slots);
  CHECK(a.tokens == b.tokens);
  CHECK(a.entropy_sum == doctest::Approx(b.entropy_sum).epsilon(1e-12));
  testing::check_error<ConfigError>([&] { (void)many.share_batch(1); },
                                    {"a sample for each of " + std::to_string(many.size()) + " ranks", "got 1"});
}
