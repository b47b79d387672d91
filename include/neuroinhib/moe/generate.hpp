#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/backend/backend.hpp>
#include <neuroinhib/core/random.hpp>
#include <neuroinhib/moe/language_model.hpp>

namespace neuroinhib {

/// How texts go on.
struct GenerateOptions {
  Index tokens = 0;         ///< new words of a text, at most
  double temperature = 1;   ///< on the scores; 0 takes the best word each time (greedy)
  Index top_k = 0;          ///< only the so many best words; 0: all
  double top_p = 1;         ///< only the fewest best words whose probabilities reach this
  std::uint64_t seed = 0;   ///< of the draws
  std::vector<int> stop{};  ///< words that end a text; they are its last
};

namespace detail {

/// Throws ConfigError for options outside their range, and for prompts that leave no room.
inline void check_generate(const GenerateOptions& options, const std::vector<std::vector<int>>& prompts,
                           Index positions) {
  const GenerateOptions& o = options;
  require_option("generate", "tokens", o.tokens, o.tokens >= 0, "≥ 0", "set how many words to add");
  require_option("generate", "temperature", o.temperature, o.temperature >= 0 && std::isfinite(o.temperature),
                 "≥ 0 and finite", "0 takes the best word, 1 draws by the model's probabilities");
  require_option("generate", "top_k", o.top_k, o.top_k >= 0, "≥ 0", "0 draws among all words");
  require_option("generate", "top_p", o.top_p, o.top_p > 0 && o.top_p <= 1, "in (0, 1]", "1 draws among all words");
  if (prompts.empty())
    fail<ConfigError>("generate", "at least one prompt", "none", "give each text one word or more to begin with");
  for (std::size_t text = 0; text < prompts.size(); ++text) {
    const auto words = static_cast<Index>(prompts[text].size());
    if (words == 0 || words + options.tokens > positions)
      fail<ConfigError>("generate, prompt " + std::to_string(text),
                        "1 to " + std::to_string(positions) + " words, the new ones included",
                        std::to_string(words) + " and " + std::to_string(options.tokens) + " new",
                        "cut the prompt or ask for fewer tokens");
  }
}

/// The word that follows, by its scores. `order` is scratch of one number a word. Throws NumericError for NaN.
template <class T>
[[nodiscard]] int sample(std::span<const T> scores, const GenerateOptions& options, double uniform,
                         std::vector<int>& order) {
  const auto nan = std::find_if(scores.begin(), scores.end(), [](T score) { return std::isnan(score); });
  if (nan != scores.end())
    fail<NumericError>("generate", "scores that are numbers", "nan for word " + std::to_string(nan - scores.begin()),
                       "load parameters without nan: require_finite() on their values finds one");
  const auto better = [&](int a, int b) {
    const T left = scores[static_cast<std::size_t>(a)], right = scores[static_cast<std::size_t>(b)];
    return left > right || (left == right && a < b);
  };
  order.resize(scores.size());
  std::iota(order.begin(), order.end(), 0);
  if (options.temperature == 0) return *std::min_element(order.begin(), order.end(), better);
  const auto all = static_cast<Index>(order.size());
  const Index kept = options.top_k > 0 ? std::min(options.top_k, all) : all;
  std::partial_sort(order.begin(), order.begin() + kept, order.end(), better);
  const double best = static_cast<double>(scores[static_cast<std::size_t>(order[0])]);
  const auto weight = [&](Index i) {
    const int word = order[static_cast<std::size_t>(i)];
    return std::exp((static_cast<double>(scores[static_cast<std::size_t>(word)]) - best) / options.temperature);
  };
  double total = 0, reached = 0;
  for (Index i = 0; i < kept; ++i) total += weight(i);
  Index last = 0;  // the nucleus: words [0, last]
  for (reached = weight(0); last + 1 < kept && reached < options.top_p * total;) reached += weight(++last);
  double left = uniform * reached;
  for (Index i = 0; i < last; ++i)
    if ((left -= weight(i)) < 0) return order[static_cast<std::size_t>(i)];
  return order[static_cast<std::size_t>(last)];
}

struct IgnoreTokens {
  void operator()(Index, int) const {}
};

}  // namespace detail

/// Goes on with each prompt until it has options.tokens new words or one that stops it, and returns the new words.
/// Prompts may differ in length: all texts advance word by word together, and a text begins to be continued where its
/// prompt ends. on_token(text, word) is called for each new word as it comes. Same seed and prompts, same words.
/// Safe from many threads on one model, each with a backend of its own. Throws ConfigError, NumericError.
template <class Layer, Backend B, class OnToken = detail::IgnoreTokens>
[[nodiscard]] std::vector<std::vector<int>> generate(B& backend, const LanguageModel<Layer>& model,
                                                     const std::vector<std::vector<int>>& prompts,
                                                     const GenerateOptions& options, OnToken&& on_token = {}) {
  using T = typename B::Scalar;
  detail::check_generate(options, prompts, model.config().positions);
  const std::size_t texts = prompts.size();
  const auto by_size = [](const auto& a, const auto& b) { return a.size() < b.size(); };
  const std::size_t shortest = std::min_element(prompts.begin(), prompts.end(), by_size)->size();
  const std::size_t longest = std::max_element(prompts.begin(), prompts.end(), by_size)->size();
  auto cache =
      model.make_cache(static_cast<Index>(texts), static_cast<Index>(longest) + options.tokens, backend.space());

  std::vector<std::vector<int>> all(prompts.begin(), prompts.end()), made(texts);
  std::vector<bool> done(texts, options.tokens == 0);
  std::vector<int> next, order;
  /// The words [first, last) of every text, where the backend reads them.
  const auto words = [&](std::size_t first, std::size_t last) {
    next.clear();
    for (const auto& text : all)
      for (std::size_t at = first; at < last; ++at) next.push_back(at < text.size() ? text[at] : text.back());
    backend.begin_step();
    const View<int> ids = backend.integers({static_cast<Index>(next.size())});
    backend.write(ids, next.data());
    return View<const int>(ids);
  };
  if (shortest > 1) model.prefill(backend, words(0, shortest - 1), cache);
  for (std::size_t at = shortest - 1; std::find(done.begin(), done.end(), false) != done.end(); ++at) {
    const Tensor<T> scores = model.decode(backend, words(at, at + 1), cache);
    const std::vector<T> on_host = backend.read(View<T>(scores));
    for (std::size_t text = 0; text < texts; ++text) {
      if (done[text] || at + 1 < prompts[text].size()) continue;
      const auto vocabulary = static_cast<std::size_t>(scores.cols());
      const RandomStream random{options.seed, made[text].size(), static_cast<std::uint32_t>(text)};
      const int word = detail::sample<T>(std::span<const T>(on_host).subspan(text * vocabulary, vocabulary), options,
                                         random.template uniform<double>(0), order);
      all[text].push_back(word);
      made[text].push_back(word);
      on_token(static_cast<Index>(text), word);
      const bool stops = std::find(options.stop.begin(), options.stop.end(), word) != options.stop.end();
      done[text] = stops || static_cast<Index>(made[text].size()) == options.tokens;
    }
  }
  return made;
}

}  // namespace neuroinhib
