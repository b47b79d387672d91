#include <numeric>

#include <neuroinhib/parallel/hosts.hpp>

#include "ranks.hpp"

using namespace neuroinhib;
using testing::check_error;
using testing::distance;
using testing::kRounding;
using testing::Many;
using testing::Values;
using testing::world;

namespace {

/// Parameters and losses after some steps of a language model on one long text, of some documents.
template <class Layer, class B>
std::vector<typename B::Scalar> learn(B& backend, Index length, const typename Layer::Config& layer,
                                      const std::vector<int>& documents = {}) {
  using T = typename B::Scalar;
  using Model = LanguageModel<Layer>;
  typename Model::Config config{
      .vocabulary = 11, .positions = length, .blocks = 2, .block = {.width = 8, .heads = 2, .dropout = .1}};
  config.moe = layer;
  Model model(config);
  Parameters<T> parameters(model, 3);
  Sgd<T> sgd(parameters, {.learning_rate = .2});
  std::vector<int> ids, labels;
  for (int i = 0; i < length; ++i) {
    ids.push_back(i * 7 % 11);
    labels.push_back(i % 4 == 1 ? -1 : i * 3 % 11);
  }
  std::vector<T> result;
  Storage<int> own;
  for (Index step = 0; step < 3; ++step) {
    const Sequences sequences =
        documents.empty() ? spread_sequence(backend, length) : spread_sequence(backend, documents, own);
    const Index rows = sequences.rows();
    Recording ex(backend);
    const auto loss =
        model.loss(ex, {ids.data() + sequences.past, {rows}}, {labels.data() + sequences.past, {rows}}, sequences);
    ex.backward(loss.total);
    sgd.step(backend, parameters);
    Tensor<T> part = loss.total.detached();
    result.push_back(all_reduce(backend, part.reshaped({1}))[0]);
  }
  result.insert(result.end(), parameters.values().begin(), parameters.values().end());
  return result;
}

/// A router that looks at the whole text learns on many ranks what it learns on one.
template <class Router, class T>
void check_spread_text(Index length = 13, const typename Router::Config& router = {},
                       const std::vector<int>& documents = {}) {
  using Layer = MoeLayer<Router, NoInhibition, TopM<2>, Mlp<Tanh>, Cpu<T>>;
  const typename Layer::Config layer{
      .width = 8, .experts = 4, .hidden = {8}, .auxiliary = {.balance = .1}, .router = router};
  Many<T> many(*world(), CpuOptions{.seed = 7});
  Cpu<T> one({.seed = 7});
  const auto a = learn<Layer>(many, length, layer, documents), b = learn<Layer>(one, length, layer, documents);
  REQUIRE(a.size() == b.size());
  CHECK(distance(a.data(), b.data(), static_cast<Index>(a.size())) < kRounding<T>);
}

}  // namespace

TEST_CASE("one text over all ranks: attention and both informed routers learn what they learn in one process") {
  check_spread_text<AttentionInform<LinearRouter>, double>();
  check_spread_text<AttentionInform<LinearRouter>, double>(61, {.choice = HeadChoice::all});
  check_spread_text<SimilarityInform<LinearRouter>, double>(world()->size());  // half of the chunks are empty
  check_spread_text<SimilarityInform<LinearRouter>, float>(61, {.learned = true, .compare = SimilarityOf::normalised});
}

namespace {

/// Numbers of documents of these lengths, in turns with as much padding.
std::vector<int> documents_of(const std::vector<Index>& lengths, Index padding) {
  std::vector<int> documents;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    documents.insert(documents.end(), static_cast<std::size_t>(lengths[i]), static_cast<int>(3 * i));
    documents.insert(documents.end(), static_cast<std::size_t>(i % 2 == 0 ? padding : 0), -1);
  }
  return documents;
}

}  // namespace

TEST_CASE("a text of documents over all ranks is learned as in one process") {
  // Within a chunk, over several of them, over all, with ends at their ends, alone, and padding at the end.
  for (const std::vector<int>& documents :
       {documents_of({5, 1, 30, 22}, 0), documents_of({40, 4, 9, 3}, 2), documents_of({64}, 0),
        documents_of({16, 32, 8, 8}, 0), documents_of({1, 1, 1, 55}, 1), documents_of({50}, 14)}) {
    const auto length = static_cast<Index>(documents.size());
    check_spread_text<AttentionInform<LinearRouter>, double>(length, {}, documents);
    check_spread_text<SimilarityInform<LinearRouter>, double>(length, {.learned = true}, documents);
  }
}

TEST_CASE("attention of a text over ranks gives outputs, log-sums, entropies and own weights of one process") {
  const Index length = 131;
  testing::Values<double> qkv({length, 12}, 1);  // logits up to some hundreds
  for (double& value : qkv.values) value *= 12;
  Many<double> many(*world());
  Cpu<double> one;
  const auto attended = [&](auto& cpu, const Tensor<double>& x, const Sequences& sequences) {
    return ring_attention(cpu, Columns<double>(x, 0, 4), {x, 4, 4}, {x, 8, 4}, sequences, 2);
  };
  const Sequences sequences = spread_sequence(many, length);
  Tensor<double> own = qkv.constant();
  own.data += sequences.past * 12;
  own.shape = {sequences.rows(), 12};
  const auto part = attended(many, own, sequences), whole = attended(one, qkv.constant(), {.length = length});
  const auto check = [&](const Tensor<double>& a, const Tensor<double>& b) {
    CHECK(distance(a.data, b.data + sequences.past * b.cols(), a.size()) < kRounding<double>);
  };
  check(part.y, whole.y);
  check(part.log_sum, whole.log_sum);
  check(part.entropy, whole.entropy);
  check(part.self, whole.self);
}

TEST_CASE("words decoded from a cache that lies over all ranks have the scores of one process") {
  using Layer = MoeLayer<LinearRouter, GluInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>;
  LanguageModel<Layer> model({.vocabulary = 11,
                              .positions = 40,
                              .blocks = 2,
                              .block = {.width = 8, .heads = 2},
                              .moe = {.width = 8, .experts = 4}});
  Parameters<double> parameters(model, 3);
  for (double& value : parameters.values()) value *= 4;  // far from uniform
  std::vector<int> ids;
  for (int i = 0; i < 40; ++i) ids.push_back(i * 7 % 11);
  Many<double> many(*world());
  Cpu<double> one;
  for (const Index prompt : {static_cast<Index>(world()->size()), Index{13}}) {
    auto spread = model.make_spread_cache(many, 40);
    auto whole = model.make_cache(1, 40, one.space());
    many.begin_step();
    model.prefill(many, {ids.data(), {prompt}}, spread);
    one.begin_step();
    model.prefill(one, {ids.data(), {prompt}}, whole);
    Index kept = 0;
    for (Index at = prompt; at < 40; ++at) {
      many.begin_step();
      one.begin_step();
      const auto a = model.decode(many, {ids.data() + at, {1}}, spread);
      const auto b = model.decode(one, {ids.data() + at, {1}}, whole);
      CHECK(distance(a.data, b.data, a.size()) < kRounding<double>);
      kept = spread.kept;
    }
    CHECK(kept <= 40 / world()->size() + 2);
    const auto all = gather_numbers(*world(), std::vector<Index>{kept});
    CHECK(std::accumulate(all.begin(), all.end(), Index{0}) == 40);
  }
}

TEST_CASE("what a cache over ranks cannot do is refused with a sentence") {
  using Informed = MoeLayer<SimilarityInform<LinearRouter>, NoInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>;
  LanguageModel<Informed> model({.vocabulary = 11,
                                 .positions = 40,
                                 .blocks = 1,
                                 .block = {.width = 8, .heads = 2},
                                 .moe = {.width = 8, .experts = 4}});
  Parameters<double> parameters(model, 3);
  Many<double> many(*world());
  const std::vector<int> ids(40);
  auto cache = model.make_spread_cache(many, 40);
  check_error<ConfigError>([&] { model.prefill(many, {ids.data(), {20}}, cache); }, {"lies over ranks"});
  check_error<ConfigError>([&] { model.prefill(many, {ids.data(), {1}}, cache); }, {"a sample for each of"});
  cache.past = 20;
  check_error<ConfigError>([&] { model.prefill(many, {ids.data(), {2}}, cache); }, {"one new token", "word by word"});
}

TEST_CASE("keys that travel by two hops, or after the work, give the same bits") {
  using Layer = MoeLayer<AttentionInform<LinearRouter>, NoInhibition, TopM<2>, Mlp<Tanh>, Cpu<double>>;
  const Layer::Config layer{.width = 8, .experts = 4, .hidden = {8}};
  Hosts<Mpi> hosts(*world(), {.ranks = 2});  // no SideCommunicator
  Ranks<Cpu<double>, Hosts<Mpi>> two_hops(hosts, CpuOptions{.seed = 7});
  Many<double> many(*world(), CpuOptions{.seed = 7});
  CHECK(learn<Layer>(two_hops, 29, layer) == learn<Layer>(many, 29, layer));
}

TEST_CASE("every chunk of a text has one worker, and all work with as many pairs of tokens") {
  for (const Index ranks : {Index{1}, Index{2}, Index{3}, Index{8}}) {
    const ops::RingChunks chunks{64 * ranks, ranks};
    std::vector<int> times(static_cast<std::size_t>(2 * ranks));
    for (Index rank = 0; rank < ranks; ++rank) {
      Index before = 0;
      for (const Index half : {0, 1}) {
        const Index chunk = chunks.chunk(rank, half);
        CHECK(chunks.worker(chunk) == rank);
        CHECK(chunk % 2 == half);
        ++times[static_cast<std::size_t>(chunk)];
        before += chunk;
      }
      CHECK(before == 2 * ranks - 1);
    }
    CHECK(times == std::vector<int>(times.size(), 1));
  }
}

TEST_CASE("sequences that cannot lie over ranks are refused with a sentence") {
  Many<double> many(*world());
  Values<double> x({4, 6}, 1);
  const auto attend = [&](const Sequences& sequences) {
    nn::Attention<double> layer(6, 2);
    const Parameters<double> parameters(layer, 1);
    (void)layer(many, x.constant(), sequences);
  };
  check_error<ConfigError>([&] { attend({.length = 2, .spread = 4}); },
                           {"one causal sequence over all ranks", "got 2"});
  check_error<ConfigError>([&] { attend({.length = 4, .mask = Mask::none, .spread = 8}); }, {"not causal"});
  Storage<int> own;
  std::vector<int> documents(16, 2);
  check_error<ConfigError>(
      [&] {
        Sequences sequences = spread_sequence(many, documents, own);
        sequences.documents = {};
        Values<double> rows({sequences.rows(), 6}, 1);
        (void)ring_attention(many, Columns<double>(rows.constant(), 0, 2), {rows.constant(), 2, 2},
                             {rows.constant(), 4, 2}, sequences);
      },
      {"pass them to spread_sequence()", "0 of 16"});
  documents.back() = 1;
  check_error<ConfigError>([&] { (void)spread_sequence(many, documents, own); }, {"1 behind 2", "rise"});
  Cpu<double> one;
  check_error<ConfigError>([&] { (void)gather_sequence(one, x.constant(), {.length = 4, .spread = 8}); },
                           {"a backend of several ranks"});
}
