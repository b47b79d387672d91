// Trained on text, then tuned to classify sentences: do routers in which words inform each other adapt better?

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "../language_model/data.hpp"
#include "../machine.hpp"
#include "../work_off.hpp"
#include "experiment.hpp"
#include "report.hpp"

namespace {

using namespace fine_tuning;
using language_model::Data;

/// A task's sentences as a training run has them.
Data data_of(const Settings& settings, const Corpus& corpus, const Task& task) {
  const auto some = [&](Split split) { return language_model::some_rows(task.rows(split), settings.evaluation_rows); };
  Data data{&corpus, task.rows(Split::training), some(Split::validation), some(Split::test), {}};
  data.classes = std::ssize(task.classes);
  data.attacked = language_model::attacked(data.test, settings.attacks);
  return data;
}

int run_all(const Settings& settings) {
  const papers::Job job(settings);
  constexpr language_model::Task kText{.paper = 2};
  const std::string machine = papers::describe_machine(settings);
  std::optional<papers::OutputFolder> folder;
  if (job.leads()) folder.emplace(settings);
  const language_model::Network network = settings.network(kText);
  const Corpus corpus = language_model::load_corpus(settings, network.vocabulary);
  std::vector<Task> tasks{topic(corpus, network.length, settings.sentences)};
  if (!settings.tasks.empty())
    for (Task& task : read_tasks(settings.tasks, corpus, network.length)) tasks.push_back(std::move(task));
  const Data text = language_model::make_data(settings, corpus, kText);
  std::map<std::string, Data> data;
  for (const Task& task : tasks) data[task.name] = data_of(settings, corpus, task);
  language_model::require_shares(text, network.batch);
  for (const auto& [name, of_task] : data) language_model::require_shares(of_task, settings.tuning->batch);
  std::printf("%s, %td words to train on; %s; %s\n", corpus.source.c_str(), corpus.words(Split::training),
              machine.c_str(), settings.key().c_str());
  const papers::Train train = [&](const std::string& name, Index seed, const std::filesystem::path& checkpoint) {
    const RunName run(name);
    Row row = language_model::find_row(run.row);
    auto model = checkpoint;
    model.replace_filename("model-" + run.row + "-" + std::to_string(seed) + checkpoint.extension().string());
    if (run.task.empty()) return language_model::train_row(settings, row, seed, text, {checkpoint, {}, model});
    row.name = name;
    row.task.tuned = true;
    return language_model::train_row(settings, row, seed, data.at(run.task), {checkpoint, model});
  };
  if (!job.leads()) return papers::follow(train);
  // A row is trained on text before it is tuned.
  Settings runs = settings;
  runs.rows.clear();
  for (const std::string& row : settings.rows) {
    runs.rows.push_back(row);
    for (const Task& task : tasks) runs.rows.push_back(RunName(row, task.name).text());
  }
  Report report(*folder, settings, text, tasks, machine);
  return papers::work_off(runs, *folder, report, train);
}

}  // namespace

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) {
    const language_model::Tuning whole{3000, 32, 1e-4}, quick{200, 32, 1e-3};
    const std::string rows = "smoe@loss,smoe-similarity@loss,smoe-attention@loss";
    return run_all(language_model::read_settings({.program = "fine_tuning",
                                                  .description = kExperiment,
                                                  .rows = rows,
                                                  .few = {.rows = rows, .seeds = 2, .tuning = quick},
                                                  .tuning = whole,
                                                  .paper = 2},
                                                 arguments));
  });
}
