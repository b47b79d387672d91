// Transformer language models: gradients through whole models, causality, decoding, training on real structure, errors.

#include <neuroinhib/io/checkpoint.hpp>

#include "support.hpp"

using namespace testing;

namespace {

template <class R, class I = NoInhibition, class M = TopM<2>>
using Model = LanguageModel<MoeLayer<R, I, M, Mlp<Relu>, Cpu<double>>>;

constexpr Index kVocabulary = 11, kWidth = 8, kLength = 7;

template <class M>
typename M::Config config_with(const auto& adjust) {
  typename M::Config config{.vocabulary = kVocabulary,
                            .positions = 9,
                            .blocks = 2,
                            .block = {.width = kWidth, .heads = 2, .hidden = 6},
                            .moe = {.width = kWidth, .experts = 4, .hidden = {6}}};
  if constexpr (requires { config.moe.inhibition.earlier_widths; }) config.moe.inhibition.earlier_widths = {kWidth};
  adjust(config);
  return config;
}

std::vector<int> words(Index count, std::uint64_t seed) {
  SequentialRandom random(seed, 1);
  std::vector<int> all(static_cast<std::size_t>(count));
  for (int& word : all) word = static_cast<int>(random.integer(0, kVocabulary - 1));
  return all;
}

View<const int> view(const std::vector<int>& words) {
  return {words.data(), {static_cast<Index>(words.size())}};
}

/// Calls visit.operator()<Model>(name, config) for one model of each kind.
template <class Visit>
void for_each_model(const Visit& visit) {
  const auto model = [&]<class M>(const char* name, const auto& adjust) {
    visit.template operator()<M>(name, config_with<M>(adjust));
  };
  const auto plain = [](auto&) {};
  model.template operator()<Model<LinearRouter>>("SMoE", plain);
  model.template operator()<Model<LinearRouter>>("without experts, post-LN", [](auto& c) {
    c.moe_every = 0;
    c.block.norm = NormPlace::after;
  });
  model.template operator()<Model<SimilarityInform<LinearRouter>>>("similarity-inform", plain);
  model.template operator()<Model<SimilarityInform<XMoeRouter>, GluInhibition>>(
      "similarity-inform X-MoE in every other block, GLU, post-LN", [](auto& c) {
        c.moe_every = 2;
        c.moe.router.compare = SimilarityOf::raw;
        c.block.norm = NormPlace::after;
      });
  model.template operator()<Model<AttentionInform<LinearRouter>>>("attention-inform", plain);
  model.template operator()<Model<AttentionInform<LinearRouter>, PretextInhibition>>(
      "attention-inform of all heads, pre-text", [](auto& c) { c.moe.router.choice = HeadChoice::all; });
  model.template operator()<Model<HashRouter>>("hash", [](auto& c) { c.moe.router.choices = 2; });
  model.template operator()<Model<SimilarityInform<LinearRouter>, NoInhibition, TopP<3>>>("top P", plain);
  model.template operator()<Model<LinearRouter>>("SMoE with a span, post-LN", [](auto& c) {
    c.block.span = 3;
    c.block.norm = NormPlace::after;
  });
  model.template operator()<Model<AttentionInform<LinearRouter>>>("attention-inform of a head, with a span",
                                                                  [](auto& c) {
                                                                    c.moe.router.choice = HeadChoice::frozen;
                                                                    c.block.span = 3;
                                                                  });
  model.template operator()<Model<AttentionInform<LinearRouter>, PretextInhibition>>(
      "attention-inform of all heads, pre-text, with a span", [](auto& c) {
        c.moe.router.choice = HeadChoice::all;
        c.block.span = 4;
      });
}

template <class M>
std::vector<double> logits_of(M& model, Cpu<double>& cpu, const std::vector<int>& ids) {
  cpu.begin_step();
  const auto y = model.logits(cpu, model.forward(cpu, view(ids), {.length = kLength}).hidden);
  return {y.begin(), y.end()};
}

}  // namespace

TEST_CASE("gradients of whole language models") {
  for_each_model([]<class M>(const std::string& name, const typename M::Config& config) {
    INFO(name);
    M model(config);
    Parameters<double> parameters(model, 3);
    for (const auto& entry : parameters.entries())  // wide enough for gradients that differences can see
      if (entry.name.find("embedding") != std::string::npos)
        for (double& v : entry.tensor) v *= 40;
    const auto ids = words(2 * kLength, 5);
    auto labels = words(2 * kLength, 6);
    labels[3] = -1;
    std::vector<Tensor<double>> inputs;
    for (const auto& entry : parameters.entries())
      if (entry.name.find("dense") == std::string::npos && entry.name.find("norm") == std::string::npos)
        inputs.push_back(entry.tensor);
    check_gradient(
        inputs,
        [&](auto& ex) {
          for (auto& state : parameters.states()) state.shape = {};
          return model.loss(ex, view(ids), view(labels), {.length = kLength}).total.reshaped({1, 1});
        },
        1e-5);
  });
}

TEST_CASE("training steps of language models have the same bits on 1, 2, 3 and 7 threads") {
  for_each_model([]<class M>(const std::string& name, const typename M::Config& config) {
    INFO(name);
    const auto trained = [&](int threads) {
      M model(config);
      Parameters<double> parameters(model, 3);
      Adam<double> adam(parameters, {.learning_rate = 1e-2});
      Cpu<double> cpu({.threads = threads, .seed = 4, .min_work = 1});
      for (std::uint64_t step = 0; step < 3; ++step) {
        const auto ids = words(5 * kLength, step), labels = words(5 * kLength, step + 9);
        Recording ex(cpu);
        ex.backward(model.loss(ex, view(ids), view(labels), {.length = kLength}).total);
        adam.step(cpu, parameters);
      }
      return std::vector<double>(parameters.values().begin(), parameters.values().end());
    };
    const auto expected = trained(1);
    for (const int threads : {2, 3, 7}) CHECK_MESSAGE(trained(threads) == expected, threads, " threads");
  });
}

TEST_CASE("decoding token by token, or in pieces, gives what the full pass gives") {
  for_each_model([]<class M>(const std::string& name, const typename M::Config& config) {
    if (config.block.span > 0) return;
    INFO(name);
    M model(config);
    const Parameters<double> parameters(model, 3);
    Cpu<double> cpu;
    const auto ids = words(2 * kLength, 5);
    const auto full = logits_of(model, cpu, ids);
    for (const std::vector<Index>& pieces : {std::vector<Index>(kLength, 1), std::vector<Index>{4, 1, 2}}) {
      auto cache = model.make_cache(2, 9, Cpu<double>::space());
      for (const Index count : pieces) {
        const Index past = cache.past;
        std::vector<int> next;
        for (Index s = 0; s < 2; ++s)
          for (Index i = past; i < past + count; ++i) next.push_back(ids[static_cast<std::size_t>(s * kLength + i)]);
        cpu.begin_step();
        const auto y = model.decode(cpu, view(next), cache);
        for (Index row = 0; row < y.rows(); ++row) {
          const Index at = row / count * kLength + past + row % count;
          CHECK(testing::distance(y.data + row * kVocabulary, full.data() + at * kVocabulary, kVocabulary) < 1e-12);
        }
      }
    }
  });
}

TEST_CASE("no word's prediction depends on later words") {
  for_each_model([]<class M>(const std::string& name, const typename M::Config& config) {
    INFO(name);
    M model(config);
    const Parameters<double> parameters(model, 3);
    Cpu<double> cpu;
    auto ids = words(2 * kLength, 5);
    const auto before = logits_of(model, cpu, ids);
    for (Index i = 4; i < kLength; ++i) {
      int& id = ids[static_cast<std::size_t>(i)];
      id = static_cast<int>((id + 3) % kVocabulary);
    }
    const auto after = logits_of(model, cpu, ids);
    const auto same = [&](Index begin, Index end) {
      return std::equal(before.begin() + begin * kVocabulary, before.begin() + end * kVocabulary,
                        after.begin() + begin * kVocabulary);
    };
    CHECK(same(0, 4));
    CHECK_FALSE(same(4, kLength));
    CHECK(same(kLength, 2 * kLength));
  });
}

TEST_CASE("with a span, a text in batches gives what it gives at once, whatever is trained in between") {
  using M = Model<LinearRouter>;
  constexpr Index kTexts = 2, kPiece = 3, kPieces = 3, kWords = kPieces * kPiece;
  M model(config_with<M>([](auto& c) { c.block.span = 4; }));
  Parameters<double> parameters(model, 3);
  Cpu<double> cpu;
  const auto ids = words(kTexts * kWords, 5);
  const auto hidden = [&](auto& ex, const std::vector<int>& of, const Sequences& sequences) {
    const auto y = model.forward(ex, view(of), sequences).hidden;
    return std::vector<double>(y.begin(), y.end());
  };
  const auto piece = [&](Index number) {
    std::vector<int> some;
    for (Index t = 0; t < kTexts; ++t)
      for (Index i = 0; i < kPiece; ++i)
        some.push_back(ids[static_cast<std::size_t>(t * kWords + number * kPiece + i)]);
    return some;
  };
  const auto whole = hidden(cpu, ids, {.length = kWords});
  for (int pass = 0; pass < 2; ++pass)  // the first piece of the second pass begins anew
    for (Index number = 0; number < kPieces; ++number) {
      cpu.begin_step();
      const auto y = hidden(cpu, piece(number), {.length = kPiece, .continues = number > 0});
      for (Index t = 0; t < kTexts; ++t)
        CHECK(testing::distance(y.data() + t * kPiece * kWidth, whole.data() + (t * kWords + number * kPiece) * kWidth,
                                kPiece * kWidth) < 1e-12);
      Recording ex(cpu);
      (void)hidden(ex, words(kPiece, 8), {.length = kPiece});
    }
  cpu.begin_step();
  CHECK(hidden(cpu, piece(0), {.length = kPiece, .continues = true}) != hidden(cpu, piece(0), {.length = kPiece}));
  check_error<ShapeError>([&] { (void)hidden(cpu, words(kPiece, 1), {.length = kPiece, .continues = true}); },
                          {"[4, 8]", "[8, 8]", "as many sequences as the batch before"});
  auto cache = model.make_cache(1, 9, Cpu<double>::space());
  check_error<ConfigError>([&] { (void)model.decode(cpu, view(piece(0)), cache); }, {"block.span 0", "got 4"});
  check_error<ConfigError>([] { M wrong(config_with<M>([](auto& c) { c.block.span = -1; })); }, {"span ≥ 0", "got -1"});
}

TEST_CASE("a model learns words that follow from the one before, to their entropy") {
  using M = LanguageModel<MoeLayer<SimilarityInform<LinearRouter>, GluInhibition, TopM<2>, Mlp<Relu>, Cpu<float>>>;
  M model({.vocabulary = kVocabulary,
           .positions = kLength,
           .blocks = 1,
           .block = {.width = 16, .heads = 2},
           .moe = {.width = 16, .experts = 4, .hidden = {16}}});
  Parameters<float> parameters(model, 3);
  Adam<float> adam(parameters, {.learning_rate = 1e-2});
  Cpu<float> cpu({.threads = 2});
  SequentialRandom random(9, 2);
  double last = 0;
  for (int step = 0; step < 500; ++step) {
    std::vector<int> ids, labels;  // the next word is 3 w + 1 or 3 w + 2, with equal chances
    for (Index s = 0; s < 32; ++s) {
      int word = static_cast<int>(random.integer(0, kVocabulary - 1));
      for (Index i = 0; i < kLength; ++i) {
        ids.push_back(word);
        word = static_cast<int>((3 * word + random.integer(1, 2)) % kVocabulary);
        labels.push_back(word);
      }
    }
    Recording ex(cpu);
    const auto loss = model.loss(ex, view(ids), view(labels), {.length = kLength});
    ex.backward(loss.total);
    adam.step(cpu, parameters);
    last = static_cast<double>(loss.mean[0]);
  }
  CHECK(last > std::log(2.0) - 0.03);
  CHECK(last < std::log(2.0) + 0.05);
}

TEST_CASE("a checkpoint of another vocabulary is refused, and changes nothing") {
  using M = Model<LinearRouter>;
  const TemporaryFolder folder;
  M model(config_with<M>([](auto&) {})), larger(config_with<M>([](auto& c) { c.vocabulary = kVocabulary + 1; }));
  const Parameters<double> parameters(model, 3);
  Parameters<double> others(larger, 4);
  io::save_model(folder / "model.safetensors", parameters);
  const std::vector<double> before(others.values().begin(), others.values().end());
  check_error<FormatError>([&] { io::load_model(folder / "model.safetensors", others); },
                           {"embedding.words", "[12, 8]"});
  CHECK(std::equal(before.begin(), before.end(), others.values().begin()));
}

TEST_CASE("decoding with one mutual-inform router inside another is refused: they would share a cache") {
  using M = Model<SimilarityInform<AttentionInform<LinearRouter>>>;
  M model(config_with<M>([](auto&) {}));
  const Parameters<double> parameters(model, 3);
  Cpu<double> cpu;
  auto cache = model.make_cache(1, 9, Cpu<double>::space());
  const auto ids = words(3, 1);
  check_error<ConfigError>([&] { (void)model.decode(cpu, view(ids), cache); }, {"one mutual-inform router a layer"});
}

TEST_CASE("what language models cannot work with is said") {
  using M = Model<LinearRouter>;
  check_error<ConfigError>([] { M model(config_with<M>([](auto& c) { c.vocabulary = 1; })); },
                           {"vocabulary ≥ 2", "got 1", "how many words"});
  check_error<ConfigError>([] { M model(config_with<M>([](auto& c) { c.moe_every = -1; })); },
                           {"moe_every ≥ 0", "got -1", "0 into none"});
  check_error<ConfigError>([] { M model(config_with<M>([](auto& c) { c.block.heads = 3; })); },
                           {"divides the width 8"});
  check_error<ConfigError>([] { M model(config_with<M>([](auto& c) { c.moe.width = 4; })); }, {"blocks' width 8"});
  M model(config_with<M>([](auto&) {}));
  Parameters<double> parameters(model, 3);
  Cpu<double> cpu;
  const auto ids = words(10, 1);
  check_error<ConfigError>([&] { (void)model.forward(cpu, view(ids), {.length = 10}); },
                           {"at most 9 tokens, the positions"});
  std::vector<int> wrong = words(kLength, 1);
  wrong[2] = kVocabulary;
  check_error<ConfigError>([&] { (void)model.forward(cpu, view(wrong), {.length = kLength}); },
                           {"ids from 0 to 10", "row 2"});
  const auto good = words(kLength, 1);
  check_error<ConfigError>([&] { (void)model.loss(cpu, view(good), view(wrong), {.length = kLength}); },
                           {"labels below 11", "row 2"});
  auto cache = model.make_cache(1, 3, Cpu<double>::space());
  check_error<ConfigError>([&] { (void)model.decode(cpu, view(good), cache); }, {"at most 3 tokens a sequence"});
}
