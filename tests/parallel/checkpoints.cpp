#include <neuroinhib/experts/spread.hpp>
#include <neuroinhib/io/ranks.hpp>

#include "ranks.hpp"

using namespace neuroinhib;
using testing::check_error;
using testing::distance;
using testing::kRounding;
using testing::Many;
using testing::Values;
using testing::world;

namespace {

constexpr Index kWidth = 6, kRows = 12;
constexpr const char* kConfiguration = "the test's";

/// A training that may stop and go on, on all ranks or, with B = Cpu, by itself.
template <class B, class Experts>
struct Training {
  using Layer = MoeLayer<LinearRouter, PosttextInhibition, TopM<2>, Experts, Cpu<double>>;

  B& backend;
  Layer layer;
  Parameters<double> parameters{layer, 3};
  Adam<double> adam;

  Training(B& of, const typename Layer::Config& config, bool sharded)
      : backend(of),
        layer(config),
        // A small ε would turn roundings of gradients near zero into steps.
        adam(parameters, {.learning_rate = .01, .epsilon = .01}, sharded ? shard_of(of, parameters) : Shard{}) {}

  void run(Index from, Index to) {
    for (Index step = from; step < to; ++step) {
      const Share share = share_batch(backend, kRows);
      Values<double> x({kRows, kWidth}, static_cast<std::uint64_t>(step));
      const std::vector<int> labels(static_cast<std::size_t>(share.count()), static_cast<int>(step % kWidth));
      Tensor<double> own = x.constant();
      own.data += share.begin * kWidth;
      own.shape = {share.count(), kWidth};
      Recording ex(backend);
      ex.backward(cross_entropy<decltype(ex)>(ex, layer.forward(ex, dropout(ex, own, .1)).y, labels));
      adam.step(backend, parameters);
    }
  }
};

template <class Experts>
auto config_of(const Mpi& mpi = *world()) {
  typename MoeLayer<LinearRouter, PosttextInhibition, TopM<2>, Experts, Cpu<double>>::Config config{
      .width = kWidth, .experts = 4, .hidden = {5}};
  config.inhibition.pooling = Pooling::mean;
  if constexpr (requires { config.expert.ranks; }) {
    config.expert.rank = mpi.rank();
    config.expert.ranks = mpi.size();
  }
  return config;
}

/// A file that all ranks name alike.
std::filesystem::path common_file(const char* name) {
  const auto texts = gather_texts(*world(), std::to_string(getpid()));
  return std::filesystem::temp_directory_path() / ("neuroinhib-ranks-" + texts[0] + "-" + name);
}

/// Trains on all ranks, saves, goes on by one process and comes back.
template <class Experts>
void check_resumed(bool sharded) {
  const auto file = common_file("checkpoint");
  Many<double> many(*world(), CpuOptions{.seed = 7});
  Cpu<double> one(CpuOptions{.seed = 7});
  Training<Cpu<double>, Mlp<Tanh>> straight(one, config_of<Mlp<Tanh>>(), false);
  straight.run(0, 6);
  {
    Training<Many<double>, Experts> first(many, config_of<Experts>(), sharded);
    first.run(0, 2);
    io::save_checkpoint(many, file, first.parameters, first.adam, {kConfiguration, "two steps"});
  }
  std::string trouble;
  if (many.rank() == 0) {
    Cpu<double> alone;
    Training<Cpu<double>, Mlp<Tanh>> second(alone, config_of<Mlp<Tanh>>(), false);
    CHECK(io::load_checkpoint(file, second.parameters, second.adam, alone.random(), kConfiguration) == "two steps");
    second.run(2, 4);
    io::save_checkpoint(file, second.parameters, second.adam, alone.random(), {kConfiguration, "four steps"});
  }
  require_success(*world(), trouble);
  Many<double> again(*world());
  Training<Many<double>, Experts> third(again, config_of<Experts>(), sharded);
  CHECK(io::load_checkpoint(again, file, third.parameters, third.adam, kConfiguration) == "four steps");
  third.run(4, 6);
  for (const auto& entry : third.parameters.entries()) {
    const Tensor<double>& all = straight.parameters[entry.name];
    const Index first = third.parameters.slice_of(entry).first * all.cols();
    INFO(entry.name);
    CHECK(distance(entry.tensor.data, all.data + first, entry.tensor.size()) < kRounding<double>);
  }
  require_success(*world(), "");
  std::filesystem::remove(file);
}

/// Steps [from, to) of a training on the ranks of `mpi`, from the file on where there is a step before, and into it.
template <class Experts>
void train_part(Mpi& mpi, const std::filesystem::path& file, Index from, Index to, bool sharded) {
  Many<double> many(mpi, CpuOptions{.seed = 7});
  Training<Many<double>, Experts> training(many, config_of<Experts>(mpi), sharded);
  if (from > 0) (void)io::load_checkpoint(many, file, training.parameters, training.adam, kConfiguration);
  training.run(from, to);
  io::save_checkpoint(many, file, training.parameters, training.adam, {kConfiguration, ""});
}

/// Of two ranks, then of all four, then of one.
template <class Experts>
void check_two_four_one(bool sharded) {
  const auto file = common_file("two-four-one");
  MPI_Comm pair = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, world()->rank() / 2, world()->rank(), &pair);
  {
    Mpi two({.group = pair});
    if (world()->rank() < 2) train_part<Experts>(two, file, 0, 2, sharded);
  }
  MPI_Comm_free(&pair);
  require_success(*world(), "");
  train_part<Experts>(*world(), file, 2, 4, sharded);
  if (world()->rank() == 0) {
    Cpu<double> one(CpuOptions{.seed = 7}), other(CpuOptions{.seed = 7});
    Training<Cpu<double>, Mlp<Tanh>> last(one, config_of<Mlp<Tanh>>(), false);
    Training<Cpu<double>, Mlp<Tanh>> straight(other, config_of<Mlp<Tanh>>(), false);
    (void)io::load_checkpoint(file, last.parameters, last.adam, one.random(), kConfiguration);
    last.run(4, 6);
    straight.run(0, 6);
    CHECK(distance(last.parameters.data(), straight.parameters.data(), last.parameters.size()) < kRounding<double>);
  }
  require_success(*world(), "");
  std::filesystem::remove(file);
}

}  // namespace

TEST_CASE("training goes on from two ranks to four and to one, with whole and sharded optimizers and spread experts") {
  if (world()->size() < 4) return;
  check_two_four_one<Mlp<Tanh>>(false);
  check_two_four_one<Mlp<Tanh>>(true);
  check_two_four_one<Spread<Mlp<Tanh>>>(false);
}

TEST_CASE("training goes on from many ranks to one and back, with whole and sharded optimizers and spread experts") {
  check_resumed<Mlp<Tanh>>(false);
  check_resumed<Mlp<Tanh>>(true);
  check_resumed<Spread<Mlp<Tanh>>>(false);
}

TEST_CASE("what one rank cannot read or write all ranks refuse, and nothing is changed") {
  const auto file = common_file("refused");
  Many<double> many(*world());
  Training<Many<double>, Mlp<Tanh>> training(many, config_of<Mlp<Tanh>>(), false);
  const auto load = [&](const std::string& configuration) {
    return testing::message_of<Error>(
        [&] { (void)io::load_checkpoint(many, file, training.parameters, training.adam, configuration); });
  };
  CHECK(load(kConfiguration).find("rank 0: ") == 0);
  io::save_checkpoint(many, file, training.parameters, training.adam, {kConfiguration, ""});
  CHECK(load(many.rank() == 1 ? "another" : kConfiguration).find("rank 1: checkpoint") == 0);
  CHECK(many.random().step == 0);
  CHECK(testing::message_of<Error>([&] {
          io::save_checkpoint(many, "/proc/no/such/folder/file", training.parameters, training.adam, {});
        }).find("rank 0: ") == 0);
  require_success(*world(), "");
  std::filesystem::remove(file);
}
