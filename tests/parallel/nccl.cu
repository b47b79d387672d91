// Ranks with a GPU each, or that share one, by NCCL: as tests/parallel has it of MPI, against one process on the same
// GPU. nccl.sh starts them as torchrun does; alone it is a job of one rank.

#define DOCTEST_CONFIG_IMPLEMENT
#include <neuroinhib/cuda.cuh>
#include <neuroinhib/experts/spread.hpp>
#include <neuroinhib/ops/collectives/cuda.cuh>
#include <neuroinhib/ops/ring_attention/cuda.cuh>
#include <neuroinhib/parallel/hosts.hpp>
#include <neuroinhib/parallel/ranks.hpp>
#include <neuroinhib/parallel/rendezvous.cuh>

#include "cuda/support.cuh"

using namespace neuroinhib;
using testing::check_error;
using testing::distance;
using testing::Kept;
using testing::Numbers;
using testing::numbers;

namespace {

using Link = Nccl<Rendezvous>;
template <class T>
using Many = Ranks<Cuda<T>, Link>;

Rendezvous* meeting = nullptr;
bool shared_devices = false;
Link* link_of_ranks = nullptr;

constexpr double kRounding = 1e-12;

CudaOptions options() {
  return {.device = link_of_ranks->device(), .seed = 7};
}
template <class T = double>
Many<T> many_ranks() {
  return Many<T>(*link_of_ranks, options());
}

/// A number that tells rank and place.
double mark_of(Index rank, Index i) {
  return std::sin(1.0 + 0.37 * static_cast<double>(i) + 1.9 * static_cast<double>(rank));
}
template <class B>
Kept<B> marked(const Shape& shape, Index rank) {
  Numbers values(static_cast<std::size_t>(shape.size()));
  for (Index i = 0; i < shape.size(); ++i) values[static_cast<std::size_t>(i)] = mark_of(rank, i);
  return {shape, values};
}

/// Of Σ over ranks of Σ weights ⊙ f(x): f of this rank's x, and the gradient, are what `expected` makes of the x and
/// the weights of all ranks, which it gets as (numbers of a rank, or of y's place).
struct Outcome {
  Numbers y, gradient;
};
template <class F>
Outcome outcome(Many<double>& many, const Shape& shape, const F& f) {
  auto x = marked<Many<double>>(shape, many.rank());
  Recording ex(many);
  const auto y = f(ex, x.variable());
  Numbers weights;
  for (Index i = 0; i < y.size(); ++i) weights.push_back(mark_of(many.rank() + 10, i));
  Kept<Many<double>> weight(y.shape, weights);
  if (y.size() > 0) ex.backward(testing::weighted_total(ex, y, weight));
  link_of_ranks->wait(many);
  return {numbers(many, View<double>(y)), x.gradient()};
}

/// Rows [first, first + rows) of numbers with `width` columns, on the device.
template <class B>
Kept<B> rows_of(const Numbers& all, Index first, Index rows, Index width) {
  return {{rows, width}, Numbers(all.begin() + first * width, all.begin() + (first + rows) * width)};
}

template <class T, class B>
void append(Numbers& all, B& backend, Parameters<T>& parameters) {
  backend.check();
  for (const auto& entry : parameters.entries())
    for (const T value : parameters.values_of(entry)) all.push_back(static_cast<double>(value));
}

}  // namespace

TEST_CASE("NCCL: collectives move and add up the numbers of all ranks, and so do their gradients") {
  auto many = many_ranks();
  const Index ranks = many.size(), own = many.rank();
  const auto sum_of = [&](Index i, Index of = 0) {
    double sum = mark_of(of, i);
    for (Index r = 1; r < ranks; ++r) sum += mark_of(of + r, i);
    return sum;
  };
  for (const Index size : {Index{1}, Index{7}, Index{5000}}) {
    const auto of = outcome(many, {size}, [](auto& ex, const auto& x) { return all_reduce(ex, x); });
    bool same = true, near = true;
    for (Index i = 0; i < size; ++i) {
      same = same && of.y[static_cast<std::size_t>(i)] == sum_of(i);
      near = near && std::abs(of.gradient[static_cast<std::size_t>(i)] - sum_of(i, 10)) < kRounding;
    }
    CHECK(same);
    CHECK(near);
  }
  const auto largest = outcome(many, {40}, [](auto& ex, const auto& x) { return all_reduce(ex, x, Reduction::max); });
  const auto gathered = outcome(many, {3, 2}, [](auto& ex, const auto& x) { return all_gather(ex, x); });
  const auto scattered = outcome(many, {3 * ranks, 2}, [](auto& ex, const auto& x) { return reduce_scatter(ex, x); });
  const auto exchanged = outcome(many, {3 * ranks, 2}, [](auto& ex, const auto& x) { return all_to_all(ex, x); });
  for (Index i = 0; i < 40; ++i) {
    Index best = 0;
    for (Index r = 1; r < ranks; ++r) best = mark_of(r, i) > mark_of(best, i) ? r : best;
    CHECK(largest.y[static_cast<std::size_t>(i)] == mark_of(best, i));
    CHECK(largest.gradient[static_cast<std::size_t>(i)] ==
          doctest::Approx(best == own ? sum_of(i, 10) : 0).epsilon(kRounding));
  }
  for (Index r = 0; r < ranks; ++r)
    for (Index i = 0; i < 6; ++i) {
      const auto at = static_cast<std::size_t>(6 * r + i);
      CHECK(gathered.y[at] == mark_of(r, i));
      CHECK(exchanged.y[at] == mark_of(r, 6 * own + i));
      CHECK(scattered.gradient[at] == doctest::Approx(mark_of(10 + r, i)).epsilon(kRounding));
      CHECK(exchanged.gradient[at] == doctest::Approx(mark_of(10 + r, 6 * own + i)).epsilon(kRounding));
    }
  for (Index i = 0; i < 6; ++i) {
    const auto at = static_cast<std::size_t>(i);
    CHECK(scattered.y[at] == sum_of(6 * own + i));
    CHECK(gathered.gradient[at] == doctest::Approx(sum_of(6 * own + i, 10)).epsilon(kRounding));
  }
}

TEST_CASE("NCCL: counts that differ, texts and counts of the host, and rows beside other work") {
  auto many = many_ranks();
  const Index ranks = many.size(), own = many.rank();
  std::vector<Index> rows;
  Index all = 0, before = 0;
  for (Index r = 0; r < ranks; ++r) {
    if (r == own) before = all;
    rows.push_back(r * 3 % 5);
    all += rows.back();
  }
  const Index mine = rows[static_cast<std::size_t>(own)];
  CHECK(gather_texts(*link_of_ranks, std::string(static_cast<std::size_t>(own), 'x')).back().size() ==
        static_cast<std::size_t>(ranks - 1));
  auto x = marked<Many<double>>({all, 2}, own);
  many.begin_step();
  const auto told = exchange_counts(many, rows);
  CHECK(std::all_of(told.begin(), told.end(), [&](Index count) { return count == mine; }));
  const std::vector<Index> received(told.begin(), told.end());
  const auto exchanged = numbers(many, View<double>(all_to_all(many, x.constant(), rows, received)));
  REQUIRE(exchanged.size() == static_cast<std::size_t>(2 * ranks * mine));
  std::size_t at = 0;
  for (Index r = 0; r < ranks; ++r)
    for (Index i = 0; i < 2 * mine; ++i) CHECK(exchanged[at++] == mark_of(r, 2 * before + i));
  auto even = marked<Many<double>>({4 * ranks, 3}, own);
  many.begin_step();
  Tensor<double> twice;
  const auto beside = all_to_all_beside(many, even.constant(), [&] { twice = scale(many, even.constant(), 2); });
  const auto alone = all_to_all(many, even.constant());
  CHECK(numbers(many, View<double>(beside)) == numbers(many, View<double>(alone)));
  CHECK(numbers(many, View<double>(twice))[0] == 2 * mark_of(own, 0));
}

namespace {

using Plain = MoeLayer<LinearRouter, GluInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>;

/// How a step adds up its gradients.
struct Way {
  Index bucket = 0;       ///< 0: after the backward pass
  bool sharded = false;   ///< whether each rank has a part of the moments
  bool captured = false;  ///< whether the last steps are replays
};

/// What a data-parallel layer learns on batches that lie on the device.
template <class B>
Numbers learn_layer(B& backend, const Way& way = {}) {
  constexpr Index kWidth = 12, kRows = 10;
  Plain layer({.width = kWidth, .experts = 5, .hidden = {9}, .auxiliary = {.balance = .1, .z = .01}});
  Parameters<double> parameters(layer, 3, backend.space());
  Adam<double> adam(parameters, {.learning_rate = .01},
                    way.sharded ? shard_of(backend, parameters) : Shard{parameters.size()});
  const Share share = share_batch(backend, kRows);
  auto x = rows_of<B>(testing::Values<double>({kRows, kWidth}, 5).values, share.begin, share.count(), kWidth);
  std::vector<int> labels;
  for (Index i = share.begin; i < share.end; ++i) labels.push_back(static_cast<int>(i * 5 % kWidth));
  Storage<int> of_rows(backend.space());
  of_rows.assign(labels.data(), share.count());
  const auto step = [&] {
    Recording ex(backend);
    const auto out = layer.forward(ex, dropout(ex, x.constant(), .2));
    const auto loss = sum(ex, {cross_entropy(ex, out.y, {of_rows.data(), {share.count()}}), out.auxiliary});
    if constexpr (kAlone<B>)
      ex.backward(loss);
    else if (way.bucket > 0)
      backward_and_sum(ex, loss, parameters, {.bucket = way.bucket, .shard = adam.shard()});
    else
      ex.backward(loss);
    (void)clip_gradient_norm(backend, parameters, .5);
    adam.step(backend, parameters);
  };
  for (int i = 0; i < 3; ++i) step();
  if (way.captured)
    backend.replay(backend.capture(step, 4));
  else
    for (int i = 0; i < 4; ++i) step();
  Numbers values;
  append(values, backend, parameters);
  return values;
}

}  // namespace

TEST_CASE("NCCL: data parallel learns what one process learns, in every way of adding up, captured or not") {
  Cuda<double> one(options());
  const Numbers expected = learn_layer(one);
  auto many = many_ranks();
  const Numbers values = learn_layer(many);
  CHECK(distance(values, expected) < kRounding);
  for (const Way& way :
       {Way{100}, {1 << 20}, {0, true}, {100, true}, {0, false, true}, {100, false, true}, {100, true, true}}) {
    INFO("bucket ", way.bucket, ", sharded ", way.sharded, ", captured ", way.captured);
    auto again = many_ranks();
    CHECK(learn_layer(again, way) == values);
  }
}

namespace {

/// A layer with experts of one process or spread ones: outputs of these rows and, as a whole, what it learns.
template <class Layer, class B>
std::pair<Numbers, Numbers> learn_experts(B& backend, const typename Layer::Config& config, bool captured = false) {
  constexpr Index kRows = 12;
  Layer layer(config);
  Parameters<double> parameters(layer, 3, backend.space());
  Sgd<double> sgd(parameters, {.learning_rate = .1});
  const Share share = share_batch(backend, kRows);
  auto x =
      rows_of<B>(testing::Values<double>({kRows, config.width}, 1).values, share.begin, share.count(), config.width);
  auto weights = rows_of<B>(testing::weights(kRows * config.width), share.begin, share.count(), config.width);
  Numbers y;
  const auto step = [&] {
    Recording ex(backend);
    const auto out = layer.forward(ex, x.constant());
    if (y.empty()) y = numbers(backend, View<double>(out.y));
    ex.backward(sum(ex, {testing::weighted_total(ex, out.y, weights), out.auxiliary}));
    sgd.step(backend, parameters);
  };
  for (int i = 0; i < 3; ++i) step();
  if (captured)
    backend.replay(backend.capture(step, 2));
  else
    for (int i = 0; i < 2; ++i) step();
  Numbers values;
  append(values, backend, parameters);
  return {y, values};
}

}  // namespace

TEST_CASE("NCCL: spread experts give and learn what experts of one process do, captured with a capacity") {
  constexpr Index kWidth = 6, kExperts = 8;
  using Whole = MoeLayer<LinearRouter, GluInhibition, TopM<2>, SwiGlu, Cpu<double>>;
  using Part = MoeLayer<LinearRouter, GluInhibition, TopM<2>, Spread<SwiGlu>, Cpu<double>>;
  auto many = many_ranks();
  const auto part_config = [&](double capacity) {
    Part::Config config{.width = kWidth, .experts = kExperts, .hidden = {5}, .shared = 1, .auxiliary = {.balance = .1}};
    config.expert.rank = many.rank();
    config.expert.ranks = many.size();
    config.expert.capacity = capacity;
    return config;
  };
  Cuda<double> one(options());
  const auto [y, values] = learn_experts<Whole>(
      one, {.width = kWidth, .experts = kExperts, .hidden = {5}, .shared = 1, .auxiliary = {.balance = .1}});
  const Share share = Share::of(12, many.rank(), many.size());
  const Numbers own_y(y.begin() + share.begin * kWidth, y.begin() + share.end * kWidth);
  const auto check = [&](const std::pair<Numbers, Numbers>& part) {
    CHECK(distance(part.first, own_y) < kRounding);
    Part layer(part_config(0));
    Whole whole({.width = kWidth, .experts = kExperts, .hidden = {5}, .shared = 1});
    const Parameters<double> of_part(layer, 3), of_whole(whole, 3);
    auto here = part.second.begin();
    for (const auto& entry : of_part.entries()) {
      auto there = values.begin();  // both lists have one parameter after another
      for (const auto& of : of_whole.entries()) {
        if (of.name == entry.name) break;
        there += of.tensor.size();
      }
      const Slice& slice = of_part.slice_of(entry);
      if (slice) there += slice.first * of_whole[entry.name].cols();
      INFO(entry.name);
      CHECK(distance(Numbers(here, here + entry.tensor.size()), Numbers(there, there + entry.tensor.size())) <
            kRounding);
      here += entry.tensor.size();
    }
  };
  check(learn_experts<Part>(many, part_config(0)));
  auto roomy = many_ranks();
  check(learn_experts<Part>(roomy, part_config(16)));
  auto captured = many_ranks();
  check(learn_experts<Part>(captured, part_config(16), true));
}

namespace {

/// What a language model learns of one long text, of some documents.
template <class Router, class B>
Numbers learn_text(B& backend, Index length, bool captured = false, const std::vector<int>& documents = {}) {
  using Model = LanguageModel<MoeLayer<Router, NoInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>>;
  typename Model::Config config{.vocabulary = 11, .positions = length, .blocks = 2};
  config.block.width = config.moe.width = 16;
  config.block.heads = 2;
  config.block.dropout = .1;
  config.moe.experts = 4;
  config.moe.hidden = {8};
  config.moe.auxiliary.balance = .1;
  Model model(config);
  Parameters<double> parameters(model, 3, backend.space());
  Sgd<double> sgd(parameters, {.learning_rate = .2});
  Storage<int> own(backend.space());
  const Sequences sequences =
      documents.empty() ? spread_sequence(backend, length) : spread_sequence(backend, documents, own);
  std::vector<int> ids, labels;
  for (Index i = sequences.past; i < sequences.length; ++i) {
    ids.push_back(static_cast<int>(i * 7 % 11));
    labels.push_back(static_cast<int>(i % 4 == 1 ? -1 : i * 3 % 11));
  }
  Storage<int> of_ids(backend.space()), of_labels(backend.space());
  of_ids.assign(ids.data(), sequences.rows());
  of_labels.assign(labels.data(), sequences.rows());
  const auto step = [&] {
    Recording ex(backend);
    const Shape rows{sequences.rows()};
    ex.backward(model.loss(ex, {of_ids.data(), rows}, {of_labels.data(), rows}, sequences).total);
    sgd.step(backend, parameters);
  };
  for (int i = 0; i < 3; ++i) step();
  if (captured)
    backend.replay(backend.capture(step, 2));
  else
    for (int i = 0; i < 2; ++i) step();
  Numbers values;
  append(values, backend, parameters);
  return values;
}

}  // namespace

TEST_CASE("NCCL: a text over ranks is learned as in one process, by attention and both informed routers") {
  for (const Index length : {Index{13}, Index{150}}) {
    Cuda<double> one(options());
    const Numbers attention = learn_text<AttentionInform<LinearRouter>>(one, length);
    const Numbers similarity = learn_text<SimilarityInform<LinearRouter>>(one, length);
    auto many = many_ranks();
    const Numbers values = learn_text<AttentionInform<LinearRouter>>(many, length);
    CHECK(distance(values, attention) < kRounding);
    CHECK(distance(learn_text<SimilarityInform<LinearRouter>>(many, length), similarity) < kRounding);
    auto captured = many_ranks();
    CHECK(learn_text<AttentionInform<LinearRouter>>(captured, length, true) == values);
  }
}

TEST_CASE("NCCL: a text of documents over ranks is learned as in one process, captured or not") {
  std::vector<int> documents;
  for (int i = 0; i < 150; ++i) documents.push_back(i < 20 ? 0 : i < 110 ? 1 : i < 117 ? -1 : 5 + i / 130);
  Cuda<double> one(options());
  const Numbers attention = learn_text<AttentionInform<LinearRouter>>(one, 150, false, documents);
  const Numbers similarity = learn_text<SimilarityInform<LinearRouter>>(one, 150, false, documents);
  auto many = many_ranks();
  const Numbers values = learn_text<AttentionInform<LinearRouter>>(many, 150, false, documents);
  CHECK(distance(values, attention) < kRounding);
  CHECK(distance(learn_text<SimilarityInform<LinearRouter>>(many, 150, false, documents), similarity) < kRounding);
  auto captured = many_ranks();
  CHECK(learn_text<AttentionInform<LinearRouter>>(captured, 150, true, documents) == values);
}

TEST_CASE("NCCL: an exchange in two hops gives the bits of one") {
  if (meeting->size() % 2 != 0 || meeting->size() < 2) return;
  Hosts<Link> hosts(*link_of_ranks, {.ranks = meeting->size() / 2});
  Ranks<Cuda<double>, Hosts<Link>> two_hops(hosts, options());
  auto many = many_ranks();
  CHECK(learn_layer(two_hops) == learn_layer(many));
}

TEST_CASE("NCCL: ranks without a GPU and an unknown one are refused with a sentence") {
  int devices = 0;
  REQUIRE(cudaGetDeviceCount(&devices) == cudaSuccess);
  check_error<ConfigError>([&] { Link other(*meeting, {.device = devices}); },
                           {"GPU " + std::to_string(devices), std::to_string(devices) + " GPUs", "one rank a GPU"});
  if (devices >= meeting->size()) return;
  check_error<ConfigError>([] { Link other(*meeting); }, {"a GPU for each rank", "one for ranks 0 and "});
}

// The last one, since NCCL may not be used behind it.
TEST_CASE("NCCL: a rank that leaves a call out is told at the deadline") {
  if (meeting->size() == 1) return;
  Link hasty(
      *meeting,
      {.device = link_of_ranks->device(), .deadline = std::chrono::seconds(2), .shared_devices = shared_devices});
  Many<double> many(hasty, options());
  auto x = marked<Many<double>>({4}, many.rank());
  (void)numbers(many, View<double>(all_reduce(many, x.constant())));
  if (many.rank() == 0) {
    check_error<CommunicationError>(
        [&] {
          (void)all_reduce(many, x.constant());
          hasty.wait(many);
        },
        {"wait on rank 0 of", "answers of all ranks within 2 s", "got none"});
  } else {
    std::this_thread::sleep_for(std::chrono::seconds(4));
  }
}

/// Runs the cases on every rank. Without a GPU, or one for each rank where NCCL does not let them share it, it says so
/// and counts as skipped.
int main(int argc, char** argv) try {
  constexpr int kSkipped = 77, kShares = 23000;
  int devices = 0, version = 0;
  (void)ncclGetVersion(&version);
  if (cudaGetDeviceCount(&devices) != cudaSuccess) devices = 0;
  shared_devices = devices > 0 && devices < launch().size;
  if (devices == 0 || (shared_devices && version < kShares)) {
    std::printf("skipped: %d CUDA devices for %d ranks, NCCL %d\n", devices, launch().size, version);
    return kSkipped;
  }
  const NcclOptions nccl{.deadline = std::chrono::seconds(40), .shared_devices = shared_devices};
  Rendezvous rendezvous({.nccl = nccl, .configuration = "tests"});
  Link link(rendezvous, nccl);
  meeting = &rendezvous;
  link_of_ranks = &link;
  doctest::Context context(argc, argv);
  context.setOption("minimal", rendezvous.rank() > 0);
  const int result = context.run();
  std::fflush(stdout);
  if (result != 0) std::_Exit(result);
  return 0;
} catch (const neuroinhib::Error& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
