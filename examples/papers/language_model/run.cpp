#include "run.hpp"

#include <cstdio>
#include <map>

#include "../machine.hpp"
#include "../work_off.hpp"
#include "report.hpp"
#include "training.hpp"

namespace language_model {
namespace {

Corpus load_corpus(const Settings& settings, Index vocabulary) {
  // Small enough that every word's followers are seen often in every grammar.
  constexpr Index kSentences = 30000, kGrammarWords = 200;
  if (settings.data.empty())
    return make_grammars(std::min(vocabulary, kGrammarWords),
                         settings.sentences > 0 ? 10 * settings.sentences : kSentences);
  return read_corpus(settings.data, vocabulary, settings.sentences);
}

/// At most so many rows, spread evenly over all; 0: all.
Rows some_rows(const Rows& rows, Index most) {
  if (most <= 0 || rows.count() <= most) return rows;
  Rows chosen{rows.length, {}, {}, {}, {}};
  for (Index i = 0; i < most; ++i) {
    const Index from = i * rows.count() / most * rows.length;
    for (const auto member : {&Rows::ids, &Rows::labels, &Rows::documents, &Rows::domains}) {
      const auto begin = (rows.*member).begin() + from;
      (chosen.*member).insert((chosen.*member).end(), begin, begin + rows.length);
    }
  }
  return chosen;
}

/// The text of a task.
Data make_data(const Settings& settings, const Corpus& corpus, const Task& task) {
  constexpr std::uint64_t kAttackSeed = 3;
  const Network network = settings.network(task);
  const auto rows = [&](const Corpus& from, Split split, Index length) {
    Rows all = (task.paper == 1 ? sentence_rows : text_rows)(from, split, length);
    return task.copies ? copied(std::move(all)) : all;
  };
  Data data{&corpus,
            rows(corpus, Split::training, network.length),
            some_rows(rows(corpus, Split::validation, network.length), settings.evaluation_rows),
            some_rows(rows(corpus, Split::test, network.length), settings.evaluation_rows),
            {},
            0};
  data.attacked = attacked(data.test, settings.attack, kAttackSeed);
  if (settings.data.empty() && !task.copies) data.floor = grammar_floor(corpus, data.test);
  return data;
}

}  // namespace

int run_all(const Settings& settings) {
  const std::string machine = papers::describe_machine(settings);
  const papers::OutputFolder folder(settings);
  std::map<Index, Corpus> corpora;  // by the size of their vocabulary
  std::map<Task, Data> data;
  for (const std::string& name : settings.rows) {
    const Task task = find_row(name).task.text();
    if (data.contains(task)) continue;
    const Network network = settings.network(task);
    if (!corpora.contains(network.vocabulary)) corpora[network.vocabulary] = load_corpus(settings, network.vocabulary);
    const Corpus& corpus = corpora[network.vocabulary];
    data[task] = make_data(settings, corpus, task);
    std::printf("paper %d%s: %s, %td words to train on, vocabulary %zu, %.1f %% unknown, %td rows of %td\n", task.paper,
                task.arms().c_str(), corpus.source.c_str(), corpus.words(Split::training), corpus.vocabulary.size(),
                100 * corpus.unknown, data[task].training.count(), network.length);
    for (const std::string& note : corpus.notes) std::printf("note: %s\n", note.c_str());
  }
  std::printf("%s; %s\n", machine.c_str(), settings.key().c_str());
  Report report(folder, settings, data, machine);
  const papers::Train train = [&](const std::string& name, Index seed, const auto& checkpoint) {
    const Row row = find_row(name);
    const Data& text = data.at(row.task.text());
    if constexpr (papers::kHasCuda)
      if (settings.on_cuda()) return train_on_cuda(settings, row, seed, text, checkpoint);
    return with_inhibition(
        row, [&]<class Inhibition>() { return CpuTraining<Inhibition>::train(settings, row, seed, text, checkpoint); });
  };
  papers::work_off(settings, folder, report, train, "", settings.replicas);
  return 0;
}

}  // namespace language_model
