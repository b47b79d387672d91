#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <tuple>

#include <neuroinhib/analysis/routing.hpp>
#include <neuroinhib/io/file.hpp>

#include "../picture.hpp"
#include "../verdicts.hpp"
#include "grid.hpp"
#include "layers.hpp"

namespace language_model {

using neuroinhib::RoutingAnalysis;
using papers::number_in;
using papers::numbers_in;
using papers::Summary;
using papers::text;
using papers::with_deviation;

namespace {

double mean_of(const nlohmann::json& values) {
  double sum = 0;
  for (const auto& value : values) sum += number_in(value);
  return values.empty() ? NAN : sum / static_cast<double>(values.size());
}
/// A measure of each layer's load, averaged over layers.
double mean_of_loads(const nlohmann::json& run, double (RoutingAnalysis::*measure)() const) {
  double sum = 0;
  for (const auto& layer : run.at("layers")) sum += (RoutingAnalysis{numbers_in(layer.at("load")), 0, 1}.*measure)();
  return run.at("layers").empty() ? NAN : sum / static_cast<double>(run.at("layers").size());
}
double mean_layer(const nlohmann::json& run, const char* measure) {
  double sum = 0;
  for (const auto& layer : run.at("layers")) sum += number_in(layer.at(measure));
  return run.at("layers").empty() ? NAN : sum / static_cast<double>(run.at("layers").size());
}
/// What to say of layers whose weights on other words are degenerate: all on the word itself, or near even over all.
std::string degenerate(const Row& row, const nlohmann::json& run, Index length) {
  constexpr double kSelf = 0.95, kEven = 0.9;
  std::string notes;
  for (std::size_t l = 0; l < run.at("layers").size(); ++l) {
    const auto& layer = run.at("layers").at(l);
    const double self = number_in(layer.at("self")), neighbours = number_in(layer.at("neighbours"));
    const std::string where = "- " + row.title + ", layer " + std::to_string(l + 1) + ": ";
    if (self > kSelf)
      notes += where + text("a word's weight on itself is %.2f", self) +
               ": it routes all but as without the decorator; raise " + (row.inform == "similarity" ? "τ" : "σ") + "\n";
    else if (neighbours > kEven * static_cast<double>(length) / 2)
      notes += where + text("%.0f words weigh all but alike", neighbours) + ": routing is the text's mean; lower " +
               (row.inform == "similarity" ? "τ" : "σ") + "\n";
  }
  return notes;
}
void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}
/// Losses of a copy come near zero.
constexpr const char* kNats = "%#.5g";

std::string heading(const Task& task) {
  if (task.paper == 2)
    return std::string("Mutual-Inform SMoE, ") +
           (task.large                ? "table 5: large network"
            : task.one                ? "tables 1 and 6: M = 1"
            : task.half || task.twice ? "table 6"
                                      : "tables 1, 3 and 8: next-word prediction") +
           (task.published ? ", published recipe" : "") + (task.half ? ": M = K / 2" : "") +
           (task.twice ? ": K doubled" : "") +
           (task.balanced ? ", with a balance loss"
            : task.biased ? ", with a balance bias"
                          : "");
  return std::string("Neural Inhibition, table 2: ") +
         (task.copies ? "the research code's copy task" : "next-word prediction") +
         (task.large ? ", larger vocabulary" : "");
}

std::string compared(const Row& row, const Row& other, const Summary& paired) {
  const double half = papers::half_interval(paired);
  return "- " + row.title + " − " + other.title + text(": %+.4f", paired.mean) + text(" ± %.4f", half) +
         (std::abs(paired.mean) > half ? "\n" : ", not decided\n");
}

std::string or_dash(const char* format, double value) {
  return std::isnan(value) || value == 0 ? "–" : text(format, value);
}

}  // namespace

nlohmann::json measures(const Evaluation& evaluation) {
  auto all = nlohmann::json::array();
  for (const LayerMeasures& layer : evaluation.layers)
    all.push_back({{"entropy", layer.entropy},
                   {"own_entropy", layer.own_entropy},
                   {"neighbours", layer.neighbours},
                   {"self", layer.self},
                   {"load", layer.load},
                   {"domain_load", layer.domain_load}});
  return all;
}

Report::Report(const papers::OutputFolder& folder, const Settings& settings, const std::map<Task, Data>& data,
               const std::string& machine)
    : settings_(settings),
      results_(folder, settings, settings.program,
               {{"key", settings.key() + ", data " + data.begin()->second.corpus->source},
                {"data", data.begin()->second.corpus->source},
                {"domains", data.begin()->second.corpus->domains}},
               machine) {
  results_.look([&] {
    for (const auto& run : results_.runs()) {
      const auto now = data.find(find_row(run.at("row")).task.text());
      if (now != data.end() && run.at("data") != now->second.name())
        fail<ConfigError>("resuming from " + folder.file("results.json").string(), "the text " + now->second.name(),
                          run.at("data").get<std::string>(),
                          "resume with the text of the earlier call, or choose another folder with --out");
    }
  });
}

void Report::add(nlohmann::json run) {
  const auto number = [&](const char* name) { return run.at(name).get<double>(); };
  std::printf("%-18s seed %td: test %.4g nats, perplexity %.2f, %.0f s, %.2f ms a step\n",
              run.at("row").get<std::string>().c_str(), run.at("seed").get<Index>(), number("test"),
              std::exp(number("test")), number("seconds"), number("step_ms"));
  // The papers' rows in their order, each before its arms, then pairs; the file does not depend on the order of calls.
  const auto place = [](const nlohmann::json& one) {
    const auto name = one.at("row").get<std::string>();
    const auto& rows = paper_rows();
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.name == name.substr(0, name.find('@')); });
    return std::tuple(row - rows.begin(), name, one.at("seed").get<Index>());
  };
  results_.add(std::move(run), [&](const auto& one, const auto& other) { return place(one) < place(other); });
}

void Report::show() {
  auto judged = nlohmann::json::array(), figures = nlohmann::json::array();
  std::string all;
  results_.look([&] {
    for (const Task& task : tasks()) {
      for (auto& verdict : verdicts(task)) judged.push_back(std::move(verdict));
      all += table(task);
      for (auto& figure : layers_of(task)) figures.push_back(std::move(figure));
      if (const Grid grid(results_, rows_of(task)); grid.is_drawn())
        for (auto& figure : grid.figures()) figures.push_back(std::move(figure));
    }
  });
  results_.conclude(std::move(judged), std::move(figures));
  neuroinhib::io::write_file(results_.folder().file("table.md"), all);
  std::printf("\n%s\nresults in %s\n", all.c_str(), results_.folder().path().c_str());
  if (!results_.runs().empty()) results_.look([&] { draw(); });
}

std::vector<Task> Report::tasks() const {
  std::set<Task> all;
  for (const auto& run : results_.runs()) all.insert(find_row(run.at("row")).task);
  return {all.begin(), all.end()};
}

std::vector<Row> Report::rows_of(const Task& task) const {
  std::vector<Row> rows;
  for (const auto& run : results_.runs()) {
    const Row row = find_row(run.at("row"));
    const auto is_known = [&](const Row& known) { return known.name == row.name; };
    if (row.task == task && std::none_of(rows.begin(), rows.end(), is_known)) rows.push_back(row);
  }
  return rows;
}

std::string Report::table(const Task& task) const {
  const std::vector<Row> rows = rows_of(task);
  std::vector<std::string> names;
  for (const Row& row : rows) names.push_back(row.name);
  const Network n = settings_.network(task);
  const auto& runs = results_.runs();
  // The same in all runs of a paper.
  const auto& any = *std::find_if(runs.begin(), runs.end(), [&](const auto& run) { return run.at("row") == names[0]; });
  const double floor = number_in(any.at("floor"));
  std::string out = "## " + heading(task) + "\n\n";
  out += "Ours: " + n.name() + ", vocabulary " + std::to_string(any.at("vocabulary").get<Index>()) + ", " +
         std::to_string(n.batch) + " × " + std::to_string(n.length) + " tokens a step, " +
         std::to_string(any.at("steps").get<Index>()) +
         " steps; text: " + results_.settings().at("data").get<std::string>() + ", " +
         std::to_string(any.at("training_words").get<Index>()) + " training words, " +
         text("%.1f", 100 * any.at("unknown").get<double>()) +
         " % of all words unknown. Machine: " + results_.machines(names) + ".\n";
  if (task.paper == 1)
    out +=
        task.copies
            ? "Published: normalised loss on 300,000 / 1,000,000 sentences. Here as in the research code, whose "
              "decoder "
              "reads the very word that it is to predict: a copy, whose loss has no floor.\n"
            : "Published: normalised loss on 300,000 / 1,000,000 sentences. It cannot be a loss per word of next-word "
              "prediction: the research code shows its decoder the word it is to predict (rows @copy). Ours is causal, "
              "in nats a word.\n";
  else
    out +=
        "Published: validation / test perplexity on WikiText-103 (103 million words, vocabulary 267,735, 60,000 steps "
        "of the medium network, or of the large one), clean; attacked. Ours is another text and scale: compare rows, "
        "not columns. " +
        (task.published ? "Recipe: one text in blocks, of which a word sees the " + std::to_string(n.spans * n.length) +
                              " words before it, by relative positions, and not itself. "
                        : "") +
        (task.balanced ? "Loss: with the Switch transformer's balance loss, weight" + text(" %.2f", kBalance)
         : task.biased ? "Balance: a bias that each step moves by" + text(" %g", kBiasRate) + ", without a loss"
                       : std::string("Balance: none, as in the public code that the paper builds on")) +
        ". Attacked: " + text("%.0f", 100 * settings_.attacks.front()) +
        " % of the words read became \"AAA\", which no vocabulary has.\n";
  if (floor > 0) out += "Floor (the grammars' own entropy): " + text("%.4f", floor) + " nats a word.\n";
  out +=
      "\n| Row | published | validation ppl | test nats | test ppl | attacked ppl | fluctuation | load CV | effective "
      "experts | neighbours | seeds |\n"
      "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
  for (const Row& row : rows) {
    const auto exp_of = [&](const char* measure) {
      return Summary(results_.values(row.name, [&](const auto& run) { return std::exp(number_in(run.at(measure))); }));
    };
    const auto of = [&](const auto& measure) { return Summary(results_.values(row.name, measure)); };
    const auto load = [&](auto measure) {
      return of([&](const auto& run) { return mean_of_loads(run, measure); }).mean;
    };
    const Summary test = of([](const auto& run) { return number_in(run.at("test")); });
    const double fluctuation = of([](const auto& run) { return mean_of(run.at("fluctuation")); }).mean;
    out += "| " + row.title + " | " + row.published + (row.attacked.empty() ? "" : "; " + row.attacked) + " | " +
           with_deviation("%.2f", exp_of("validation")) + " | " + with_deviation(kNats, test) + " | " +
           with_deviation("%.2f", exp_of("test")) + " | " + with_deviation("%.2f", exp_of("attacked")) + " | " +
           (std::isnan(fluctuation) ? "–" : text("%.3f", fluctuation)) + " | " +
           or_dash("%.2f", load(&RoutingAnalysis::variation)) + " | " +
           or_dash("%.1f", load(&RoutingAnalysis::effective_experts)) + " | " +
           or_dash("%.1f", of([](const auto& run) { return mean_layer(run, "neighbours"); }).mean) + " | " +
           std::to_string(test.count) + " |\n";
  }
  out += attacks(rows);
  out += passes(rows);
  const std::string against = (task.paper == 1 ? "moe" : "smoe") + task.arms();
  std::string notes;
  for (const Row& row : rows)
    for (const auto& run : runs)
      if (run.at("row") == row.name && run.at("seed") == 0) notes += degenerate(row, run, n.length);
  if (!notes.empty()) notes = "\nDegenerate weights, seed 0:\n\n" + notes;
  const std::string judged = papers::verdict_tables(verdicts(task));
  const Grid grid(results_, rows);
  return out + (judged.empty() ? "" : "\n" + judged) + (grid.is_drawn() ? grid.tables() : "") + collapsed(rows) +
         comparisons(rows, against) + layers(rows, against) + notes + domains(rows) + routing(rows) + "\n";
}

void Report::draw() const {
  draw_curves();
  for (const Task& task : tasks()) {
    std::string arms = task.arms();
    replace_all(arms, "@", "_");
    if (const auto layers = layers_of(task); !layers.empty())
      papers::draw_lines(results_.folder(), "layers" + arms, layers);
    if (const Grid grid(results_, rows_of(task)); grid.is_drawn()) grid.draw(results_.folder(), "heat" + arms);
  }
}

nlohmann::json Report::layers_of(const Task& task) const {
  return task.paper == 2 ? layer_figures(results_, task, claims_of(task, rows_of(task))) : nlohmann::json::array();
}

void Report::draw_curves() const {
  constexpr std::size_t kLines = 24;  // that can be told apart
  std::string data, commands;
  int lines = 0;
  for (const Task& task : tasks()) {
    std::vector<Row> rows = rows_of(task);
    if (rows.size() > kLines) std::erase_if(rows, [](const Row& row) { return row.inhibition != "none"; });
    const std::string name = "task" + std::to_string(++lines);
    data += "$" + name + " << EOD\n";
    for (const Row& row : rows) data += '"' + row.title + "\"\n" + curve(row) + "\n\n";
    data += "EOD\n";
    commands += "rows = " + std::to_string(rows.size()) + R"(
unset key
set title 'TITLE: training loss, nats a word'
plot for [row = 1 : rows] $TASK index row - 1 using 1:3:4 with filledcurves linecolor rgb colour(row), \
     for [row = 1 : rows] $TASK index row - 1 using 1:2 pointtype 7 linewidth 2 dashtype dashes(row) linecolor rgb colour(row)
set key at screen .99, graph .5 right center
set title 'TITLE: validation perplexity'
plot for [row = 1 : rows] $TASK index row - 1 using 1:6:7 with filledcurves linecolor rgb colour(row) notitle, \
     for [row = 1 : rows] $TASK index row - 1 using 1:5 pointtype 7 linewidth 2 dashtype dashes(row) linecolor rgb colour(row) title columnheader(1)
)";
    replace_all(commands, "TASK", name);
    replace_all(commands, "TITLE", (task.paper == 2 ? "Mutual-Inform SMoE" : "Neural Inhibition") + task.arms());
  }
  papers::draw(results_.folder(), "curves", "1300," + std::to_string(60 + 440 * lines), data,
               "set multiplot layout " + std::to_string(lines) + R"(,2 margins .06,.74,.12,.85 spacing .06,.14 \
title 'next-word prediction by training step; bands: one deviation over seeds'
colours = '#000000 #0072b2 #56b4e9 #009e73 #f0e442 #e69f00 #d55e00 #cc79a7'
colour(row) = word(colours, (row - 1) % words(colours) + 1)
dashes(row) = (row - 1) / words(colours) + 1
set grid
set xlabel 'step'
set style fill transparent solid .1 noborder
set style data linespoints
set pointsize .5
set xrange [0:*]
)" + commands + "unset multiplot\n");
}

std::string Report::curve(const Row& row) const {
  const Index epoch_steps = settings_.network(row.task).epoch_steps;
  std::string lines;
  for (std::size_t epoch = 0;; ++epoch) {
    Index steps = 0;
    const auto of = [&](const char* measure) {
      std::vector<double> seeds;
      for (const auto& run : results_.runs())
        if (run.at("row") == row.name && epoch < run.at(measure).size()) {
          seeds.push_back(number_in(run.at(measure).at(epoch)));
          steps = run.at("steps").get<Index>();
        }
      return seeds;
    };
    const std::vector<double> loss = of("loss_curve");
    std::vector<double> perplexity = of("validation_curve");
    if (loss.empty() || perplexity.empty()) return lines;
    for (double& value : perplexity) value = std::exp(value);
    const Index each = epoch_steps > 0 ? epoch_steps : (steps + 2) / 3;
    lines += std::to_string(std::min(steps, (static_cast<Index>(epoch) + 1) * each));
    for (const Summary& summary : {Summary(loss), Summary(perplexity)})
      lines += text(" %.5g", summary.mean) + text(" %.5g", summary.mean - summary.deviation) +
               text(" %.5g", summary.mean + summary.deviation);
    lines += "\n";
  }
}

std::vector<double> Report::pass_ratios(const Row& row, const std::string& measure) const {
  std::vector<double> ratios;
  for (const auto& run : results_.runs())
    if (run.at("row") == row.name && run.contains("pass_" + measure))
      ratios.push_back(number_in(run.at("pass_" + measure)) / number_in(run.at("pass_base_" + measure)));
  return ratios;
}

std::string Report::passes(const std::vector<Row>& rows) const {
  std::string lines;
  for (const Row& row : rows) {
    const Summary time(pass_ratios(row, "ms")), memory(pass_ratios(row, "mebibytes"));
    if (time.count == 0) continue;
    const auto published = published_pass(row);
    const auto of = [&](const char* name) {
      return Summary(results_.values(row.name, [&](const auto& run) { return number_in(run.at(name)); })).mean;
    };
    lines += "| " + row.title + " | " +
             (published ? text("%.3f", published->time) + " / " + text("%.3f", published->memory) : "–") + " | " +
             with_deviation("%.3f", time) + " | " + with_deviation("%.3f", memory) + " | " +
             text("%.2f", of("pass_ms")) + " | " + text("%.1f", of("pass_mebibytes")) + " |\n";
  }
  return lines.empty()
             ? lines
             : "\nTable 7: a forward pass outside of training, over that of the same network without what "
               "informs its routers; the two in turns:\n\n"
               "| Row | published: time / memory | time | memory | ms | MiB |\n|---|---:|---:|---:|---:|---:|\n" +
                   lines;
}

std::vector<double> Report::differences(const std::string& row, const std::string& other, const char* measure) const {
  return results_.differences(row, other, [&](const auto& run) { return number_in(run.at(measure)); });
}

nlohmann::json Report::slower(const Task& task) const {
  std::vector<papers::Comparison> comparisons;
  for (const Row& row : rows_of(task)) {
    std::vector<double> more = pass_ratios(row, "ms");
    const auto published = published_pass(row);
    if (more.empty() || !published) continue;
    for (double& ratio : more) ratio -= 1;
    comparisons.push_back(papers::compare({row.title + ": time of a forward pass", 1, published->time - 1}, more));
  }
  return papers::verdicts_json({"Mutual-Inform SMoE, table 7" + (task.arms().empty() ? "" : ", rows " + task.arms()),
                                scale(task), settings_.command, "share added to the time without what informs", 4},
                               comparisons);
}

std::vector<RowClaim> Report::claims(const Task& task) const {
  std::vector<RowClaim> all = claims_of(task, rows_of(task));
  std::erase_if(all, [&](const RowClaim& claim) {
    return differences(claim.row, claim.other).empty() || has_collapsed(find_row(claim.other));
  });
  return all;
}

nlohmann::json Report::verdicts(const Task& task) const {
  const std::vector<RowClaim> judgeable = claims(task);
  std::vector<papers::Comparison> comparisons;
  for (const RowClaim& claim : judgeable) {
    const std::string rows = find_row(claim.row).title + " − " + find_row(claim.other).title;
    comparisons.push_back(papers::compare({rows, -1, claim.published}, differences(claim.row, claim.other)));
    if (claim.attacked)
      comparisons.push_back(papers::compare(
          {rows + text(", %g", 100 * settings_.attacks.front()) + " % of words swapped", -1, claim.attacked},
          differences(claim.row, claim.other, "attacked")));
  }
  const papers::Circumstances circumstances{heading(task), scale(task), settings_.command, "test loss in nats a word",
                                            4};
  auto judged = papers::verdicts_json(circumstances, comparisons);
  const auto append = [&](const papers::Circumstances& of, const std::vector<papers::Comparison>& more) {
    for (auto& verdict : papers::verdicts_json(of, more)) judged.push_back(std::move(verdict));
  };
  if (task.paper == 2)
    append({layers_heading(task), circumstances.scale, circumstances.command,
            "shares of words, and of the base's entropy", 4},
           layer_claims(results_, judgeable));
  for (auto& verdict : slower(task)) judged.push_back(std::move(verdict));
  if (const Grid grid(results_, rows_of(task)); grid.is_drawn()) {
    papers::Circumstances of_grid = circumstances;
    of_grid.of = "Cross product of both papers" + (task.arms().empty() ? "" : ", rows " + task.arms());
    append(of_grid, grid.claims());
  }
  return judged;
}

double Report::effective_experts(const Row& row) const {
  const auto of_run = [](const auto& run) { return mean_of_loads(run, &RoutingAnalysis::effective_experts); };
  return Summary(results_.values(row.name, of_run)).mean;
}

bool Report::has_collapsed(const Row& row) const {
  const Network n = settings_.network(row.task);
  return row.task.paper == 2 && effective_experts(row) < static_cast<double>(n.chosen + n.experts) / 2;
}

std::string Report::collapsed(const std::vector<Row>& rows) const {
  std::string lines;
  for (const Row& row : rows)
    if (row.inform == "none" && has_collapsed(row))
      lines += "- " + row.title + text(": %.1f of ", effective_experts(row)) +
               std::to_string(settings_.network(row.task).experts) + "\n";
  return lines.empty() ? ""
                       : "\nNot judged are claims against rows whose load collapsed: their effective number of experts "
                         "is nearer to M, the fewest there can be, than to all K:\n\n" +
                             lines;
}

std::string Report::scale(const Task& task) const {
  const std::vector<Row> rows = rows_of(task);
  const auto& runs = results_.runs();
  const auto& any =
      *std::find_if(runs.begin(), runs.end(), [&](const auto& run) { return run.at("row") == rows[0].name; });
  const auto number = [&](const char* name) { return papers::readable(any.at(name).template get<Index>()); };
  const Network n = settings_.network(task);
  const std::string ours = number("training_words") + " words, vocabulary " + number("vocabulary") + ", " +
                           number("steps") + " steps of " + std::to_string(n.batch) + " × " + std::to_string(n.length);
  if (task.paper == 2)
    return ours + ", instead of 103 million words, vocabulary 267,735, 60,000 steps of 48 × 512; network " + n.name();
  return ours + ", instead of " +
         (task.large ? "25 million words of WMT, vocabulary 15,000" : "7.5 million words of WMT, vocabulary 8,500") +
         ", 3 epochs of 256 sentences; " +
         (task.copies ? "the published task"
                      : "the published losses are of another task, so that only their order is judged");
}

std::string Report::comparisons(const std::vector<Row>& rows, const std::string& against) const {
  std::string lines;
  for (const Row& row : rows) {
    if (row.name == against) continue;
    const Summary paired(differences(row.name, against));
    if (paired.count < 2) continue;
    lines += compared(row, find_row(against), paired);
  }
  for (const Row& row : rows)
    if (const std::string plain = row.without_choices(); plain != row.name) {
      const Summary paired(differences(row.name, plain));
      if (paired.count >= 2) lines += compared(row, find_row(plain), paired);
    }
  return lines.empty() ? lines : "\nTest loss paired by seed, nats with 95 % intervals (Student's t):\n\n" + lines;
}

std::string Report::layers(const std::vector<Row>& rows, const std::string& against) const {
  std::string lines;
  for (const Row& row : rows) {
    for (const auto& run : results_.runs()) {
      if (run.at("row") != row.name || run.at("seed") != 0 || run.at("layers").empty()) continue;
      lines += "| " + row.title + " |";
      for (std::size_t l = 0; l < run.at("layers").size(); ++l) {
        double baseline = NAN;
        for (const auto& other : results_.runs())
          if (other.at("row") == against && other.at("seed") == 0 &&
              other.at("layers").size() == run.at("layers").size())
            baseline = number_in(other.at("layers").at(l).at("entropy"));
        const auto& layer = run.at("layers").at(l);
        const double self = number_in(layer.at("self"));
        lines += " " + or_dash("%.3f", number_in(layer.at("entropy")) / baseline) + " / " +
                 text("%.3f", number_in(run.at("fluctuation").at(l))) + (self > 0 ? " / " + text("%.2f", self) : "") +
                 " |";
      }
      lines += "\n";
    }
  }
  if (lines.empty()) return "";
  const auto columns =
      std::count(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(lines.find('\n')), '|') - 2;
  std::string head = "| Row |", rule = "|---|";
  for (std::ptrdiff_t l = 0; l < columns; ++l) {
    head += " layer " + std::to_string(l + 1) + " |";
    rule += "---:|";
  }
  return "\nEntropy ratio (mean H(p) over that of " + find_row(against).title +
         ") / fluctuation / mean weight of a word on itself, seed 0:\n\n" + head + "\n" + rule + "\n" + lines;
}

std::string Report::attacks(const std::vector<Row>& rows) const {
  if (settings_.attacks.size() < 2) return "";
  std::string head = "| Row |", rule = "|---|", lines;
  for (const double share : settings_.attacks) {
    head += text(" %g %% |", 100 * share);
    rule += "---:|";
  }
  for (const Row& row : rows) {
    lines += "| " + row.title + " |";
    for (std::size_t a = 0; a < settings_.attacks.size(); ++a)
      lines +=
          " " +
          with_deviation(
              "%.2f", Summary(results_.values(
                          row.name, [&](const auto& run) { return std::exp(number_in(run.at("attacks").at(a))); }))) +
          " |";
    lines += "\n";
  }
  return "\nTest perplexity by share of words swapped:\n\n" + head + "\n" + rule + "\n" + lines;
}

std::string Report::domains(const std::vector<Row>& rows) const {
  std::string out = "\nTest loss by domain, nats a word:\n\n" + domain_head();
  for (const Row& row : rows) {
    out += "| " + row.title + " |";
    for (std::size_t d = 0; d < results_.settings().at("domains").size(); ++d) {
      const Summary nats(
          results_.values(row.name, [&](const auto& run) { return number_in(run.at("domains").at(d)); }));
      out += " " + or_dash("%.3f", nats.mean) + " |";
    }
    out += "\n";
  }
  return out;
}

std::string Report::routing(const std::vector<Row>& rows) const {
  std::string lines;
  for (const Row& row : rows)
    for (const auto& run : results_.runs()) {
      if (run.at("row") != row.name || run.at("seed") != 0 || run.at("layers").empty()) continue;
      const auto& layer = run.at("layers").back();
      double apart = 0;
      lines += "| " + row.title + " |";
      for (const auto& domain : layer.at("domain_load")) {
        const auto load = numbers_in(domain);
        const auto most = std::max_element(load.begin(), load.end());
        lines += " " + std::to_string(most - load.begin() + 1) + text(": %.0f %% |", 100 * *most);
        for (std::size_t k = 0; k < load.size(); ++k)
          apart += std::abs(load[k] - number_in(layer.at("load").at(k))) / 2 /
                   static_cast<double>(layer.at("domain_load").size());
      }
      lines += text(" %.3f |\n", apart);
    }
  if (lines.empty()) return "";
  return "\nRouting by domain, last layer, seed 0: the expert used most and its share of the slots; \"apart\" is the "
         "share of slots to reassign before a domain is routed like the whole corpus:\n\n" +
         domain_head(" apart |") + lines;
}

/// The first lines of a table with a column for each domain.
std::string Report::domain_head(const std::string& last) const {
  std::string head = "| Row |", rule = "|---|";
  for (const auto& name : results_.settings().at("domains")) {
    head += " " + name.get<std::string>() + " |";
    rule += "---:|";
  }
  return head + last + "\n" + rule + (last.empty() ? "" : "---:|") + "\n";
}

}  // namespace language_model
