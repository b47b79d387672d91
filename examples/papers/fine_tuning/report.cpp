#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <tuple>

#include <neuroinhib/io/file.hpp>

#include "../picture.hpp"
#include "../verdicts.hpp"

namespace fine_tuning {

using papers::number_in;
using papers::Summary;
using papers::text;

namespace {

/// Table 4: test accuracy of single runs, in percent.
struct Printed {
  std::string_view task, inform;
  double accuracy;
};
constexpr std::array<Printed, 9> kPrinted{{{"sst5", "none", 36.54},
                                           {"sst5", "similarity", 37.91},
                                           {"sst5", "attention", 38.89},
                                           {"sst2", "none", 70.23},
                                           {"sst2", "similarity", 71.72},
                                           {"sst2", "attention", 72.41},
                                           {"banking77", "none", 83.96},
                                           {"banking77", "similarity", 85.19},
                                           {"banking77", "attention", 85.84}}};

/// The accuracy of the paper's SMoE rows.
std::optional<double> published(const Row& row, const std::string& task) {
  if (row.router != "linear" || row.every != 1 || row.inhibition != "none") return std::nullopt;
  for (const Printed& one : kPrinted)
    if (one.task == task && one.inform == row.inform) return one.accuracy;
  return std::nullopt;
}
/// The row that the same table compares a row with: its router uninformed.
bool is_base_of(const Row& base, const Row& row) {
  return row.inform != "none" && base.inform == "none" && base.router == row.router && base.every == row.every &&
         base.inhibition == row.inhibition && base.task == row.task;
}

}  // namespace

RunName::RunName(const std::string& name) {
  const std::size_t at = std::min(name.find(':'), name.size());
  row = name.substr(0, at);
  task = name.substr(std::min(at + 1, name.size()));
}

Report::Report(const papers::OutputFolder& folder, const Settings& settings, const language_model::Data& text,
               const std::vector<Task>& tasks, const std::string& machine)
    : settings_(settings),
      tasks_(tasks),
      results_(folder, settings, settings.program,
               {{"key",
                 [&] {
                   std::string key = settings.key() + ", data " + text.name() + ", tasks";
                   for (const Task& task : tasks)
                     key += " " + task.name + " " + papers::fingerprint(task.rows(Split::training).ids) +
                            papers::fingerprint(task.rows(Split::test).ids);
                   return key;
                 }()},
                {"data", text.corpus->source}},
               machine) {}

void Report::add(nlohmann::json run) {
  const RunName name(run.at("row"));
  std::printf("%-40s seed %td: %s, %.0f s\n", name.text().c_str(), run.at("seed").get<Index>(),
              name.task.empty() ? text("perplexity %.2f", std::exp(number_in(run.at("test")))).c_str()
                                : text("accuracy %.2f %%", 100 * number_in(run.at("accuracy"))).c_str(),
              run.at("seconds").get<double>());
  const auto place = [](const nlohmann::json& one) {
    return std::tuple(one.at("row").get<std::string>(), one.at("seed").get<Index>());
  };
  results_.add(std::move(run), [&](const auto& one, const auto& other) { return place(one) < place(other); });
}

void Report::show() {
  results_.conclude(results_.look([&] { return verdicts(); }), {results_.look([&] { return figure(); })});
  const std::string all = results_.look([&] { return table(); });
  neuroinhib::io::write_file(results_.folder().file("table.md"), all);
  std::printf("\n%s\nresults in %s\n", all.c_str(), results_.folder().path().c_str());
  results_.look([&] { draw(); });
}

std::vector<Row> Report::rows() const {
  std::vector<Row> rows;
  for (const std::string& row : settings_.rows)
    if (std::any_of(results_.runs().begin(), results_.runs().end(),
                    [&](const auto& run) { return run.at("row") == row; }))
      rows.push_back(language_model::find_row(row));
  return rows;
}

std::vector<double> Report::accuracies(const std::string& row, const std::string& task) const {
  return results_.values(RunName(row, task).text(),
                         [](const auto& run) { return 100 * number_in(run.at("accuracy")); });
}

std::string Report::scale() const {
  const language_model::Network n = settings_.network({.paper = 2});
  const auto& run = results_.runs().at(0);
  return papers::readable(run.at("training_words").get<Index>()) + " words, " + papers::readable(n.steps) +
         " steps of " + std::to_string(n.batch) + " × " + std::to_string(n.length) +
         " instead of 103 million words and 60,000 steps of 48 × 512; network " + n.name() + "; " +
         papers::readable(settings_.tuning->steps) + " steps of " + std::to_string(settings_.tuning->batch) +
         " sentences a task";
}

std::string Report::table() const {
  std::string out =
      "## Mutual-Inform SMoE, table 4: fine-tuning\n\nText: " + results_.settings().at("data").get<std::string>() +
      ". Scale: " + scale() +
      ". Test accuracy in percent; a task's head reads the last word. Machine: " + results_.machines(settings_.rows) +
      ".\n\n| Task | sentences: training / test | classes | most "
      "frequent class |\n|---|---:|---:|---:|\n";
  for (const Task& task : tasks_)
    out += "| " + task.name + " | " + papers::readable(task.rows(Split::training).count()) + " / " +
           papers::readable(task.rows(Split::test).count()) + " | " + std::to_string(task.classes.size()) + " | " +
           text("%.1f |\n", 100 * task.most);
  out += "\n| Row | test ppl of the text |";
  std::string rule = "\n|---|---:|";
  for (const Task& task : tasks_) {
    out += " " + task.name + " (published) | … with swapped words |";
    rule += "---:|---:|";
  }
  out += " seeds |" + rule + "---:|\n";
  for (const Row& row : rows()) {
    const Summary perplexity(
        results_.values(row.name, [](const auto& run) { return std::exp(number_in(run.at("test"))); }));
    out += "| " + row.title + " | " + papers::with_deviation("%.2f", perplexity) + " |";
    for (const Task& task : tasks_) {
      const auto printed = published(row, task.name);
      const Summary attacked(results_.values(RunName(row.name, task.name).text(), [](const auto& run) {
        return 100 * number_in(run.at("attacked_accuracy"));
      }));
      out += " " + papers::with_deviation("%.2f", Summary(accuracies(row.name, task.name))) +
             (printed ? text(" (%.2f)", *printed) : "") + " | " + papers::with_deviation("%.2f", attacked) + " |";
    }
    out += " " + std::to_string(perplexity.count) + " |\n";
  }
  const std::string judged = papers::verdict_tables(verdicts());
  return out + (judged.empty() ? "" : "\n" + judged);
}

nlohmann::json Report::verdicts() const {
  std::vector<papers::Comparison> comparisons;
  const std::vector<Row> all = rows();
  for (const Task& task : tasks_)
    for (const Row& row : all)
      for (const Row& base : all) {
        if (!is_base_of(base, row)) continue;
        const auto differences =
            results_.differences(RunName(row.name, task.name).text(), RunName(base.name, task.name).text(),
                                 [](const auto& run) { return 100 * number_in(run.at("accuracy")); });
        const auto ours = published(row, task.name), theirs = published(base, task.name);
        if (!differences.empty())
          comparisons.push_back(papers::compare({task.name + ": " + row.title + " − " + base.title, 1,
                                                 ours && theirs ? std::optional(*ours - *theirs) : std::nullopt},
                                                differences));
      }
  if (results_.runs().empty()) return nlohmann::json::array();
  return papers::verdicts_json(
      {"Mutual-Inform SMoE, table 4: fine-tuning", scale(), settings_.command, "test accuracy in points", 2},
      comparisons);
}

nlohmann::json Report::figure() const {
  nlohmann::json labels, series = nlohmann::json::array();
  for (const Task& task : tasks_) labels.push_back(task.name);
  const std::vector<Row> all = rows();
  for (std::size_t r = 0; r < all.size(); ++r) {
    nlohmann::json points{{"name", all[r].title}};
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      const Summary accuracy(accuracies(all[r].name, tasks_[t].name));
      if (accuracy.count == 0) continue;
      points["x"].push_back(static_cast<double>(t) + 0.1 * static_cast<double>(r));
      points["y"].push_back(accuracy.mean);
      points["low"].push_back(accuracy.mean - accuracy.deviation);
      points["high"].push_back(accuracy.mean + accuracy.deviation);
    }
    if (points.contains("x")) series.push_back(std::move(points));
  }
  return {{"kind", "ranges"},
          {"title", "Fine-tuning, by task"},
          {"note", "means and deviations over seeds"},
          {"x", {{"title", ""}, {"labels", labels}}},
          {"y", {{"title", "test accuracy, %"}}},
          {"series", series}};
}

void Report::draw() const {
  const nlohmann::json drawn = figure();
  std::string data, tics;
  for (std::size_t t = 0; t < tasks_.size(); ++t)
    tics += (t > 0 ? ", " : "") + papers::for_gnuplot(tasks_[t].name) + " " + std::to_string(t);
  for (const auto& series : drawn.at("series")) {
    data += '"' + series.at("name").get<std::string>() + "\"\n";
    for (std::size_t i = 0; i < series.at("x").size(); ++i)
      for (const char* number : {"x", "y", "low", "high"})
        data += papers::shortest(series.at(number).at(i).get<double>()) + (number[0] == 'h' ? "\n" : " ");
    data += "\n\n";
  }
  if (data.empty()) return;
  papers::draw(results_.folder(), "accuracy", "900,480", "$Rows << EOD\n" + data + "EOD\n",
               "set title 'Test accuracy after fine-tuning; bars: one deviation over seeds'\nset ylabel '%'\n"
               "set xrange [-.5:" +
                   std::to_string(tasks_.size()) + "-.2]\nset yrange [0:100]\nset grid ytics\nset xtics (" + tics +
                   ")\nset key outside right\nplot for [row = 0 : " + std::to_string(drawn.at("series").size() - 1) +
                   "] $Rows index row using 1:2:3:4 with yerrorbars pointtype 7 linewidth 2 title columnheader(1)\n");
}

}  // namespace fine_tuning
