#include "run.hpp"

#include <cstdio>
#include <map>
#include <optional>

#include "../machine.hpp"
#include "../work_off.hpp"
#include "data.hpp"
#include "has_cuda.hpp"
#include "report.hpp"

namespace language_model {
nlohmann::json train_row(const Settings& settings, const Row& row, Index seed, const Data& data, const Files& files) {
  if constexpr (papers::kHasCuda)
    if (settings.on_cuda()) return train_on_cuda(settings, row, seed, data, files);
  return with_inhibition(
      row, [&]<class Inhibition>() { return CpuTraining<Inhibition>::train(settings, row, seed, data, files); });
}

int run_all(const Settings& settings) {
  const papers::Job job(settings);
  const std::string machine = papers::describe_machine(settings);
  std::optional<papers::OutputFolder> folder;
  if (job.leads()) folder.emplace(settings);
  std::map<Index, Corpus> corpora;  // by the size of their vocabulary
  std::map<Task, Data> data;
  for (const std::string& name : settings.rows) {
    const Task task = find_row(name).task.text();
    if (data.contains(task)) continue;
    const Network network = settings.network(task);
    if (!corpora.contains(network.vocabulary)) corpora[network.vocabulary] = load_corpus(settings, network.vocabulary);
    const Corpus& corpus = corpora[network.vocabulary];
    data[task] = make_data(settings, corpus, task);
    require_shares(data[task], network.batch);
    std::printf("paper %d%s: %s, %td words to train on, vocabulary %zu, %.1f %% unknown, %td rows of %td\n", task.paper,
                task.arms().c_str(), corpus.source.c_str(), corpus.words(Split::training), corpus.vocabulary.size(),
                100 * corpus.unknown, data[task].training.count(), network.length);
    for (const std::string& note : corpus.notes) std::printf("note: %s\n", note.c_str());
  }
  std::printf("%s; %s\n", machine.c_str(), settings.key().c_str());
  const papers::Train train = [&](const std::string& name, Index seed, const auto& checkpoint) {
    const Row row = find_row(name);
    return train_row(settings, row, seed, data.at(row.task.text()), {checkpoint});
  };
  if (!job.leads()) return papers::follow(train);
  Report report(*folder, settings, data, machine);
  return papers::work_off(settings, *folder, report, train, "", settings.replicas);
}

}  // namespace language_model
