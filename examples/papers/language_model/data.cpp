#include "data.hpp"

#include <algorithm>

namespace language_model {

Corpus load_corpus(const Settings& settings, Index vocabulary) {
  // Small enough that every word's followers are seen often in every grammar.
  constexpr Index kSentences = 30000, kGrammarWords = 200;
  if (settings.data.empty())
    return make_grammars(std::min(vocabulary, kGrammarWords),
                         settings.sentences > 0 ? 10 * settings.sentences : kSentences);
  return read_corpus(settings.data, vocabulary, settings.sentences);
}

Rows some_rows(const Rows& rows, Index most) {
  if (most <= 0 || rows.count() <= most) return rows;
  Rows chosen{rows.length, {}, {}, {}, {}, rows.streams};
  if (rows.streams > 0) {
    const Index blocks = std::max<Index>(most / rows.streams, 1);
    for (Index i = 0; i < blocks * rows.streams; ++i) append(chosen, rows, i * rows.length);
  } else {
    for (Index i = 0; i < most; ++i) append(chosen, rows, i * rows.count() / most * rows.length);
  }
  return chosen;
}

std::vector<Rows> attacked(const Rows& rows, const std::vector<double>& shares) {
  constexpr std::uint64_t kSeed = 3;
  std::vector<Rows> all;
  for (const double share : shares) all.push_back(attacked(rows, share, kSeed));
  return all;
}

void require_shares(const Data& data, Index batch) {
  const Index ranks = papers::job().size();
  papers::require_shares("rows that train", batch, batch);
  for (const Rows* rows : {&data.validation, &data.test})
    papers::require_shares("rows that are measured", rows->count(), batch);
  for (const Rows* rows : {&data.training, &data.validation, &data.test})
    if (rows->streams % ranks != 0)
      fail<ConfigError>("--ranks", "a divisor of the " + std::to_string(rows->streams) + " texts of a batch",
                        std::to_string(ranks), "start another number of ranks, or give --batch another size");
}

Data make_data(const Settings& settings, const Corpus& corpus, const Task& task) {
  const Network network = settings.network(task);
  const auto rows = [&](const Corpus& from, Split split, Index length) {
    Rows all = task.published    ? stream_rows(from, split, length, network.batch)
               : task.paper == 1 ? sentence_rows(from, split, length)
                                 : text_rows(from, split, length);
    return task.copies ? copied(std::move(all)) : all;
  };
  Data data{&corpus,
            rows(corpus, Split::training, network.length),
            some_rows(rows(corpus, Split::validation, network.length), settings.evaluation_rows),
            some_rows(rows(corpus, Split::test, network.length), settings.evaluation_rows),
            {}};
  data.attacked = attacked(data.test, settings.attacks);
  if (settings.data.empty() && !task.copies && !task.published) data.floor = grammar_floor(corpus, data.test);
  return data;
}

}  // namespace language_model
