// Going on with texts: the best words are those of a whole pass, batches of any lengths, sampling laws, errors.

#include <map>

#include "support.hpp"

using namespace testing;

namespace {

using Model = LanguageModel<MoeLayer<SimilarityInform<LinearRouter>, GluInhibition, TopM<2>, Mlp<Relu>, Cpu<double>>>;

constexpr int kVocabulary = 11;

struct Fixture {
  Model model{{.vocabulary = kVocabulary,
               .positions = 16,
               .blocks = 2,
               .block = {.width = 8, .heads = 2},
               .moe = {.width = 8, .experts = 4, .hidden = {6}}}};
  Parameters<double> parameters{model, 3};
  Cpu<double> cpu;

  Fixture() {
    for (double& value : parameters.values()) value *= 4;  // far from uniform
  }
  std::vector<std::vector<int>> go_on(const std::vector<std::vector<int>>& prompts, const GenerateOptions& options) {
    return generate(cpu, model, prompts, options);
  }
  /// The best word after `text`, of a pass over all of it.
  int best_after(const std::vector<int>& text) {
    cpu.begin_step();
    const auto rows = static_cast<Index>(text.size());
    const auto hidden = model.forward(cpu, {text.data(), {rows}}, {.length = rows}).hidden;
    const auto scores = model.logits(cpu, hidden);
    const double* last = scores.data + (rows - 1) * kVocabulary;
    return static_cast<int>(std::max_element(last, last + kVocabulary) - last);
  }
};

const std::vector<std::vector<int>> kPrompts{{3, 1, 4, 1, 5}, {9}, {2, 6}};

std::map<int, int> draws(const std::vector<double>& scores, const GenerateOptions& options, int count = 20000) {
  std::map<int, int> seen;
  std::vector<int> order;
  for (int i = 0; i < count; ++i)
    ++seen[detail::sample<double>(scores, options, RandomStream{7, 0, 0}.uniform<double>(i), order)];
  return seen;
}

}  // namespace

TEST_CASE("the best words one by one are the best of a pass over the whole text") {
  Fixture f;
  const auto made = f.go_on(kPrompts, {.tokens = 8, .temperature = 0});
  for (std::size_t text = 0; text < kPrompts.size(); ++text) {
    std::vector<int> all = kPrompts[text];
    CHECK(made[text].size() == 8);
    for (const int word : made[text]) {
      CHECK(word == f.best_after(all));
      all.push_back(word);
    }
  }
}

TEST_CASE("a text goes on as it would alone, whatever the lengths of the others") {
  Fixture f;
  const auto together = f.go_on(kPrompts, {.tokens = 6, .temperature = 0});
  for (std::size_t text = 0; text < kPrompts.size(); ++text)
    CHECK(f.go_on({kPrompts[text]}, {.tokens = 6, .temperature = 0})[0] == together[text]);
}

TEST_CASE("same seed, same words, and one word to choose from is the best one") {
  Fixture f;
  const auto first = f.go_on(kPrompts, {.tokens = 10, .temperature = 2, .seed = 1});
  CHECK(f.go_on(kPrompts, {.tokens = 10, .temperature = 2, .seed = 1}) == first);
  CHECK(f.go_on(kPrompts, {.tokens = 10, .temperature = 2, .seed = 2}) != first);
  const auto best = f.go_on(kPrompts, {.tokens = 10, .temperature = 0});
  CHECK(first != best);
  CHECK(f.go_on(kPrompts, {.tokens = 10, .top_k = 1}) == best);
  CHECK(f.go_on(kPrompts, {.tokens = 10, .top_p = 1e-9}) == best);
}

TEST_CASE("sampling follows the softmax of the scores, cut to the best words and to the nucleus") {
  const std::vector<double> p{0.1, 0.5, 0.15, 0.25};
  std::vector<double> scores;
  for (const double value : p) scores.push_back(std::log(value) + 3);
  const auto share = [](std::map<int, int> seen, int word) { return seen[word] / 20000.0; };
  const auto all = draws(scores, {});
  for (int word = 0; word < 4; ++word) CHECK(std::abs(share(all, word) - p[static_cast<std::size_t>(word)]) < 0.015);
  const auto best2 = draws(scores, {.top_k = 2});
  CHECK(best2.size() == 2);
  CHECK(std::abs(share(best2, 1) - 2.0 / 3) < 0.015);
  CHECK(draws(scores, {.top_p = 0.5}).size() == 1);
  CHECK(draws(scores, {.top_p = 0.51}).size() == 2);
  CHECK(draws(scores, {.top_p = 0.76}).size() == 3);
  const auto warm = draws(scores, {.temperature = 2});
  const double root = std::sqrt(0.1) + std::sqrt(0.5) + std::sqrt(0.15) + std::sqrt(0.25);
  CHECK(std::abs(share(warm, 0) - std::sqrt(0.1) / root) < 0.015);
  check_error<NumericError>([&] { draws({1, std::nan(""), 2}, {}, 1); },
                            {"scores that are numbers", "nan for word 1", "require_finite"});
}

TEST_CASE("a word that stops ends its text alone, and each new word is told as it comes") {
  Fixture f;
  const auto free = f.go_on(kPrompts, {.tokens = 8, .temperature = 0});
  const int stop = free[1][2];
  std::vector<std::vector<int>> told(kPrompts.size());
  const auto made = generate(f.cpu, f.model, kPrompts, {.tokens = 8, .temperature = 0, .stop = {stop}},
                             [&](Index text, int word) { told[static_cast<std::size_t>(text)].push_back(word); });
  CHECK(told == made);
  for (std::size_t text = 0; text < kPrompts.size(); ++text) {
    const auto end = std::find(free[text].begin(), free[text].end(), stop);
    CHECK(made[text] == std::vector<int>(free[text].begin(), end == free[text].end() ? end : end + 1));
  }
  CHECK(f.go_on(kPrompts, {.tokens = 0}) == std::vector<std::vector<int>>(3));
}

TEST_CASE("options and prompts out of range are refused") {
  Fixture f;
  const auto refused = [&](const std::vector<std::vector<int>>& prompts, const GenerateOptions& options,
                           const std::vector<std::string>& parts) {
    check_error<ConfigError>([&] { (void)f.go_on(prompts, options); }, parts);
  };
  refused({}, {.tokens = 1}, {"at least one prompt"});
  refused({{1}, {}}, {.tokens = 1}, {"prompt 1", "1 to 16 words"});
  refused({{1, 2}}, {.tokens = 15}, {"1 to 16 words", "2 and 15 new"});
  refused({{1}}, {.tokens = -1}, {"tokens ≥ 0", "-1"});
  refused({{1}}, {.tokens = 1, .temperature = -1}, {"temperature ≥ 0"});
  refused({{1}}, {.tokens = 1, .temperature = std::nan("")}, {"temperature ≥ 0", "nan"});
  refused({{1}}, {.tokens = 1, .top_k = -1}, {"top_k ≥ 0"});
  refused({{1}}, {.tokens = 1, .top_p = 0}, {"top_p in (0, 1]"});
  refused({{kVocabulary}}, {.tokens = 1}, {"ids from 0 to 10", "11"});
}
