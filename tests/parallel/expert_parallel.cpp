#include <neuroinhib/experts/spread.hpp>
#include <neuroinhib/parallel/hosts.hpp>

#include "ranks.hpp"

using namespace neuroinhib;
using testing::distance;
using testing::kRounding;
using testing::Many;
using testing::Values;
using testing::world;

namespace {

constexpr Index kWidth = 6, kExperts = 8, kRows = 12;

/// A layer whose experts are spread, and the same in one process, trained side by side.
template <class Mix, class Experts, class T>
struct Pair {
  template <class E>
  using LayerOf = MoeLayer<LinearRouter, GluInhibition, Mix, E, Cpu<T>>;
  using Whole = LayerOf<Experts>;
  using Part = LayerOf<Spread<Experts>>;

  Many<T> many{*world(), CpuOptions{.seed = 7}};
  Cpu<T> one{CpuOptions{.seed = 7}};
  Whole whole;
  Part part;
  Parameters<T> of_whole{whole, 3}, of_part{part, 3};

  explicit Pair(typename Mix::Config mix = {}, Index shared = 0)
      : whole(configured<Whole>(mix, shared)), part([&] {
          auto config = configured<Part>(mix, shared);
          config.expert.rank = world()->rank();
          config.expert.ranks = world()->size();
          return config;
        }()) {}

  template <class L>
  static typename L::Config configured(const typename Mix::Config& mix, Index shared) {
    return {.width = kWidth,
            .experts = kExperts,
            .hidden = {5},
            .shared = shared,
            .auxiliary = {.balance = .1},
            .mix = mix};
  }

  /// All parameters of the part are what the whole has in its place.
  void check_parameters(double tolerance) {
    for (const auto& entry : of_part.entries()) {
      const Slice& slice = of_part.slice_of(entry);
      const Tensor<T>& all = of_whole[entry.name];
      CHECK(entry.tensor.rows() == (slice ? all.rows() / world()->size() : all.rows()));
      INFO(entry.name);
      CHECK(distance(entry.tensor.data, all.data + slice.first * all.cols(), entry.tensor.size()) <= tolerance);
    }
  }
  /// Steps of training on the same batches.
  void check_training() {
    check_parameters(0);
    Sgd<T> sgd_of_whole(of_whole, {.learning_rate = .1}), sgd_of_part(of_part, {.learning_rate = .1});
    const Sequences sequences{.length = kRows / 4};
    for (std::uint64_t step = 0; step < 3; ++step) {
      Values<T> x({kRows, kWidth}, step);
      std::vector<int> labels;
      for (Index i = 0; i < kRows; ++i) labels.push_back(static_cast<int>(i % kWidth));
      const Share share = many.share_batch(4);  // sequences
      const Index first = share.begin * kRows / 4, rows = share.count() * kRows / 4;
      Tensor<T> own = x.constant();
      own.data += first * kWidth;
      own.shape = {rows, kWidth};
      const auto learn = [&](auto& backend, auto& layer, const Tensor<T>& tokens, const View<const int>& of, auto& sgd,
                             auto& parameters) {
        Recording ex(backend);
        auto out = layer.forward(ex, tokens, {}, {.sequences = sequences});
        ex.backward(sum(ex, {cross_entropy(ex, out.y, of), out.auxiliary}));
        sgd.step(backend, parameters);
        return out.y;
      };
      const auto expected = learn(one, whole, x.constant(), {labels.data(), {kRows}}, sgd_of_whole, of_whole);
      const auto y = learn(many, part, own, {labels.data() + first, {rows}}, sgd_of_part, of_part);
      CHECK(distance(y.data, expected.data + first * kWidth, y.size()) < kRounding<T>);
    }
    check_parameters(kRounding<T>);
  }
};

}  // namespace

TEST_CASE("spread experts give and learn what experts of one process do") {
  Pair<TopM<2>, SwiGlu, double>().check_training();
  Pair<TopM<3>, Mlp<Tanh>, float>().check_training();
}

TEST_CASE("spread experts serve slots without an expert, and ranks that nobody chooses") {
  Pair<TopP<4>, Mlp<Tanh>, double>({.p = .3}).check_training();
  Pair<ExpertChoice<2>, Mlp<Tanh>, double>({.capacity = .5}).check_training();
  Pair<Switch, Mlp<Tanh>, double> all_to_one;
  for (auto* parameters : {&all_to_one.of_whole, &all_to_one.of_part}) (*parameters)["router.score.bias"][1] += 100;
  all_to_one.check_training();
}

TEST_CASE("the first outputs of spread experts have the bits of one process") {
  Pair<TopM<2>, SwiGlu, float> pair;
  Values<float> x({kRows, kWidth}, 1);
  const Share share = Share::of(kRows, pair.many.rank(), pair.many.size());
  Tensor<float> own = x.constant();
  own.data += share.begin * kWidth;
  own.shape = {share.count(), kWidth};
  const auto expected = pair.whole.forward(pair.one, x.constant()).y;
  const auto y = pair.part.forward(pair.many, own).y;
  CHECK(distance(y.data, expected.data + share.begin * kWidth, y.size()) == 0);
}

TEST_CASE("shared experts are whole on every rank") {
  Pair<TopM<2>, Mlp<Tanh>, double>({}, 1).check_training();
  Pair<TopM<2>, SwiGlu, float>({}, 3).check_training();
}

namespace {

/// MPI, and whether work was done between the start of an exchange of rows and its end.
struct Noting : Mpi {
  using Mpi::Mpi;
  const bool* done = nullptr;
  int beside = 0;

  template <class B>
  void finish(B& backend, const char* operation, int channel) {
    if (channel == kRowsChannel && *done) ++beside;
    Mpi::finish(backend, operation, channel);
  }
};

/// What a layer with shared experts gives and its gradients, with rows of its own on every rank.
template <class C>
std::vector<double> with_shared(C& communicator, double capacity) {
  using Layer = MoeLayer<LinearRouter, NoInhibition, TopM<3>, Spread<Mlp<Tanh>>, Cpu<double>>;
  Ranks<Cpu<double>, C> many(communicator);
  Layer layer({.width = kWidth,
               .experts = kExperts,
               .hidden = {5},
               .shared = 2,
               .expert = {.rank = many.rank(), .ranks = many.size(), .capacity = capacity}});
  Parameters<double> parameters(layer, 3);
  if constexpr (requires { communicator.done; })
    communicator.done = parameters["shared.layers.0.weight"].gradient_written;
  Values<double> x({kRows, kWidth}, static_cast<std::uint64_t>(many.rank()));
  Recording ex(many);
  const auto y = layer.forward(ex, x.variable()).y;
  ex.backward(total(ex, multiply(ex, y, y)));
  std::vector<double> result(y.begin(), y.end());
  const View<double> gradient = parameters.gradients();
  result.insert(result.end(), gradient.begin(), gradient.end());
  result.insert(result.end(), x.gradients.begin(), x.gradients.end());
  return result;
}

}  // namespace

TEST_CASE("rows travel while shared experts compute, forward and back, with the bits of an exchange before them") {
  for (const double capacity : {0.0, 2.0}) {
    Noting noting;
    Hosts<Mpi> one_by_one(*world(), {.ranks = 2});  // no SideCommunicator
    CHECK(with_shared(noting, capacity) == with_shared(one_by_one, capacity));
    CHECK(noting.beside == 1);  // in the backward pass, once the shared experts have their gradients
  }
  Noting noting;
  Ranks<Cpu<double>, Noting> many(noting);
  bool done = false;
  noting.done = &done;
  Values<double> x({2 * many.size(), 3}, 1);
  const auto y = all_to_all_beside(many, x.constant(), [&] { done = true; });
  CHECK(noting.beside == 1);
  const auto expected = all_to_all(many, x.constant());
  CHECK(std::equal(y.begin(), y.end(), expected.begin(), expected.end()));
}

namespace {

/// What a layer with room for some slots gives for rows, and what training leaves of it.
struct Limited {
  using Layer = MoeLayer<LinearRouter, NoInhibition, TopP<3>, Spread<Mlp<Tanh>>, Cpu<double>>;

  Layer layer;
  Parameters<double> parameters{layer, 3};

  Limited(double capacity, Index rank, Index ranks)
      : layer({.width = kWidth,
               .experts = kExperts,
               .hidden = {5},
               .mix = {.p = .6},
               .expert = {.rank = rank, .ranks = ranks, .capacity = capacity}}) {
    parameters["router.score.bias"][1] += 1;  // uneven
  }
  /// The output of these rows, and the gradients of its sum of squares join those that are there.
  template <class B>
  std::vector<double> forward_backward(B& backend, const Tensor<double>& x) {
    Recording ex(backend);
    const auto y = layer.forward(ex, x).y;
    ex.backward(total(ex, multiply(ex, y, y)));
    return {y.begin(), y.end()};
  }
  [[nodiscard]] std::vector<double> dropped() const { return parameters.states().back().values.to_host(); }
};

}  // namespace

TEST_CASE("with a capacity, spread experts drop what experts of one process drop of each rank's part, and count it") {
  const Index ranks = world()->size(), own = world()->rank(), rows = 11;
  Many<double> many(*world());
  Cpu<double> cpu;
  for (const double capacity : {.4, 1.25, 100.0}) {
    Limited spread(capacity, own, ranks), whole(capacity, 0, 1);
    std::vector<double> expected, dropped{0, 0};
    for (Index r = 0; r < ranks; ++r) {
      Values<double> x({rows, kWidth}, static_cast<std::uint64_t>(r));
      const auto y = whole.forward_backward(cpu, x.constant());
      if (r == own) expected = y;
      for (std::size_t i = 0; i < 2; ++i) dropped[i] += whole.dropped()[i];
    }
    Values<double> x({rows, kWidth}, static_cast<std::uint64_t>(own));
    const auto y = spread.forward_backward(many, x.constant());
    CHECK(y == expected);
    CHECK(spread.dropped() == dropped);
    CHECK((dropped[0] > 0) == (capacity < 2));
    (void)detail::flat_gradient(many, spread.parameters);
    (void)whole.parameters.gradients();
    for (const auto& entry : spread.parameters.entries()) {
      const Tensor<double>& all = whole.parameters[entry.name];
      const Index first = spread.parameters.slice_of(entry).first * all.cols();
      INFO(entry.name);
      CHECK(distance(entry.tensor.gradient, all.gradient + first, entry.tensor.size()) < kRounding<double>);
    }
  }
  Limited all(100, own, ranks), any(0, own, ranks);
  Values<double> x({rows, kWidth}, 1);
  CHECK(all.forward_backward(many, x.constant()) == any.forward_backward(many, x.constant()));
}

TEST_CASE("what spread experts cannot do is refused with a sentence") {
  using Layer = MoeLayer<LinearRouter, NoInhibition, TopM<2>, Spread<Mlp<Tanh>>>;
  testing::check_error<ConfigError>([] { Layer layer({.width = 4, .experts = 3, .expert = {.rank = 0, .ranks = 2}}); },
                                    {"a divisor of K = 3", "got 2"});
  testing::check_error<ConfigError>([] { Layer layer({.width = 4, .experts = 4, .expert = {.rank = 2, .ranks = 2}}); },
                                    {"rank", "got 2"});
  testing::check_error<ConfigError>([] { Layer layer({.width = 4, .experts = 4, .expert = {.capacity = -1}}); },
                                    {"capacity ≥ 0", "got -1"});
  testing::check_error<ConfigError>(
      [] {
        Layer::Config config{.width = 4, .experts = 4, .expert = {.rank = 1, .ranks = 2}};
        config.expert.expert.dropout = .1;
        Layer layer(config);
      },
      {"expert.dropout 0 on several ranks", "got 0.1"});
  Layer layer({.width = 4, .experts = 4, .expert = {.rank = 1, .ranks = 2}});
  Parameters<float> parameters(layer, 1);
  Cpu<float> cpu;
  Values<float> x({3, 4}, 1);
  testing::check_error<ConfigError>([&] { (void)layer.forward(cpu, x.constant()); }, {"rank 1 of 2", "rank 0 of 1"});
  Many<float> many(*world());
  testing::check_error<ConfigError>([&] { (void)clip_gradient_norm(many, parameters, 1.0); },
                                    {"a slice of \"experts."});
  testing::check_error<ConfigError>([&] { (void)shard_of(many, parameters); }, {"a slice of \"experts."});
}
