#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <neuroinhib/io/file.hpp>

#include "../picture.hpp"
#include "../words.hpp"
#include "training.hpp"

namespace vision {

using papers::number_in;
using papers::numbers_in;
using papers::Summary;
using papers::text;
using papers::with_deviation;

namespace {

constexpr const char* kSeverityTitle =
    "accuracy by severity, mean over 15 corruptions; bands: one deviation over seeds";
constexpr const char* kSeverityAxis = "severity (0: clean)";
constexpr const char* kAccuracyAxis = "accuracy, percent";

/// "72.71 / 35.42 / 5.27 / 48.72".
std::string published(const Row& row) {
  std::string all;
  for (const auto& value : row.published) all += (all.empty() ? "" : " / ") + (value ? text("%.2f", *value) : "–");
  return all;
}
/// The mean of all numbers, however deep they lie.
double mean_of(const nlohmann::json& values) {
  const nlohmann::json flat = values.flatten();
  double sum = 0;
  for (const auto& value : flat) sum += number_in(value);
  return flat.empty() ? NAN : sum / static_cast<double>(flat.size());
}
/// Of the layer with the most uneven load.
double least_effective(const nlohmann::json& run) {
  double least = INFINITY;
  for (const auto& layer : run.at("layers")) least = std::min(least, number_in(layer.at("effective")));
  return least;
}
/// The head of a table with a column for each layer.
std::string head_of_layers(const std::string& first, const std::vector<Index>& blocks) {
  std::string head = "| " + first + " |", rule = "|---|";
  for (const Index block : blocks) {
    head += " block " + std::to_string(block) + " |";
    rule += "---:|";
  }
  return head + "\n" + rule + "\n";
}

}  // namespace

nlohmann::json measures(const Answers& answers) {
  auto all = nlohmann::json::array();
  for (const LayerMeasures& layer : answers.layers)
    all.push_back({{"load", layer.counts.load()},
                   {"effective", layer.counts.effective_experts()},
                   {"entropy", layer.counts.entropy()},
                   {"neighbours", layer.neighbours / layer.counts.tokens},
                   {"self", layer.self / layer.counts.tokens}});
  return all;
}

Report::Report(const papers::OutputFolder& folder, const Settings& settings, const Images& images,
               const std::string& machine)
    : settings_(settings),
      outliers_(images.outliers_name),
      results_(folder, settings, "mutual_inform_vision",
               {{"key", settings.key() + ", images " + images.name()}, {"images", images.training.source}}, machine) {}

void Report::add(nlohmann::json run) {
  std::printf("%-11s seed %td: test %.2f %%, %.0f s, %.2f ms a step\n", run.at("row").get<std::string>().c_str(),
              run.at("seed").get<Index>(), 100 * run.at("test").get<double>(), run.at("seconds").get<double>(),
              run.at("step_ms").get<double>());
  const auto place = [](const nlohmann::json& one) {
    const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return one.at("row") == r.name; });
    return std::pair(row - kRows.begin(), one.at("seed").get<Index>());
  };
  results_.add(std::move(run), [&](const auto& one, const auto& other) { return place(one) < place(other); });
}

void Report::show() {
  const auto verdicts = results_.look([&] { return papers::verdicts_json(circumstances(), comparisons()); });
  results_.conclude(verdicts, results_.look([&] { return figures(); }));
  const std::string all = results_.look([&] { return table() + "\nVerdicts:\n\n" + papers::verdict_tables(verdicts); });
  neuroinhib::io::write_file(results_.folder().file("table.md"), all);
  std::printf("\n%s\nresults in %s\n", all.c_str(), results_.folder().path().c_str());
  results_.look([&] {
    if (!settings_.network.experts_in.empty()) draw_loads();
    papers::draw_lines(results_.folder(), "severities", figures());
  });
}

std::vector<Row> Report::rows() const {
  std::vector<Row> present;
  for (const Row& row : kRows)
    if (!results_.values(row.name, [](const auto&) { return 0.0; }).empty()) present.push_back(row);
  return present;
}

std::vector<Report::Column> Report::columns() const {
  const auto share = [](const char* name) {
    return [name](const nlohmann::json& run) { return 100 * mean_of(run.at(name)); };
  };
  std::vector<Column> all{{"test", share("test"), 0},
                          {"renditions", share("renditions"), 1},
                          {"FGSM", share("fgsm"), {}},
                          {"PGD", share("pgd"), 2},
                          {"corruptions", share("corruptions"), 3},
                          {"AUPR of outliers", share("outliers"), {}}};
  const auto& any = results_.runs().front();
  if (any.contains("imagenet_r")) all.push_back({"ImageNet-R", share("imagenet_r"), 1});
  if (any.contains("imagenet_a")) all.push_back({"ImageNet-A", share("imagenet_a"), 2});
  return all;
}

std::string Report::caption() const {
  const auto& any = results_.runs().front();
  std::vector<std::string> names;
  for (const Row& row : rows()) names.emplace_back(row.name);
  return "Published: top-1 accuracy in percent on ImageNet-1k / -R / -A / -C, of a V-MoE that the table gives 297 "
         "million parameters and the appendix 60 million, with V-MoE's own training (ImageNet-1k, 300 epochs of 8,192 "
         "images, RandAugment, mixup).\n"
         "Ours, scaled down: " +
         settings_.network.name() + ", " + papers::readable(any.at("parameters").get<Index>()) + " parameters; " +
         results_.settings().at("images").get<std::string>() + (settings_.set == "mixed" ? " and squares" : "") + ", " +
         papers::readable(any.at("training_images").get<Index>()) + " training images, " +
         papers::readable(any.at("test_images").get<Index>()) + " test images; " +
         papers::readable(any.at("steps").get<Index>()) + " steps of " + std::to_string(settings_.network.batch) +
         " images, no augmentation; balance: " + settings_.balance +
         " (V-MoE's noise and load loss need logits, which informed routers do not give). Machine: " +
         results_.machines(names) +
         ".\n"
         "Counterparts: the mean accuracy over " +
         std::to_string(kRenditions.size()) +
         " renditions of the test images for ImageNet-R; accuracy under FGSM and "
         "PGD, which move each number by at most " +
         text("%.4f", settings_.epsilon) + ", on " +
         std::to_string(std::min(settings_.attacked_images, any.at("test_images").get<Index>())) +
         " test images for ImageNet-A; the mean over 15 corruptions × 5 severities of the test images, with lengths "
         "scaled to their size and frost of our own, for ImageNet-C; the area under precision and recall (AUPR) of "
         "finding " +
         outliers_ + " by their largest probability for ImageNet-O. Compare rows, not columns.\n";
}

std::string Report::table() const {
  if (results_.runs().empty()) return "";
  const std::vector<Column> all = columns();
  std::string out = "## Mutual-Inform SMoE, table 2: images\n\n" + caption() + "\n| Row | published |",
              rule = "|---|---:|";
  for (const Column& column : all) {
    out += " " + column.title + " |";
    rule += "---:|";
  }
  out += " seeds |\n" + rule + "---:|\n";
  for (const Row& row : rows()) {
    out += std::string("| ") + row.title + " | " + published(row) + " |";
    for (const Column& column : all)
      out += " " + with_deviation("%.2f", Summary(results_.values(row.name, column.measure))) + " |";
    out += " " + std::to_string(results_.values(row.name, all.front().measure).size()) + " |\n";
  }
  return out + by_name("corruptions", "Accuracy by corruption, mean over severities, percent") +
         by_name("renditions", "Accuracy by rendition, percent") + routing() + "\n";
}

std::vector<papers::Comparison> Report::comparisons() const {
  std::vector<papers::Comparison> all;
  const auto add = [&](const Row& row, const Column& column, const std::string& what, std::optional<double> published) {
    const auto differences = results_.differences(row.name, kRows.front().name, column.measure);
    if (!differences.empty())
      all.push_back(papers::compare({std::string(row.title) + " − " + kRows.front().title + ", " + what, 1, published},
                                    differences));
  };
  const std::vector<Column> measured = columns();
  for (const Row& row : rows()) {
    if (row.name == std::string_view(kRows.front().name)) continue;
    for (const Column& column : measured) {
      std::optional<double> published;
      if (column.published && row.published[*column.published])
        published = *row.published[*column.published] - *kRows.front().published[*column.published];
      add(row, column, column.title, published);
    }
    if (!settings_.network.experts_in.empty())
      add(row, {"", least_effective, {}}, "figure 4: effective number of experts, least of the layers", {});
  }
  return all;
}

papers::Circumstances Report::circumstances() const {
  const auto& any = results_.runs().front();
  return {
      "Mutual-Inform SMoE, table 2 and figure 4",
      settings_.network.name() + " on " + results_.settings().at("images").get<std::string>() +
          (settings_.set == "mixed" ? " and squares" : "") + ", " +
          papers::readable(any.at("training_images").get<Index>()) + " training and " +
          papers::readable(any.at("test_images").get<Index>()) + " test images, " +
          papers::readable(any.at("steps").get<Index>()) + " steps of " + papers::readable(settings_.network.batch) +
          " images (published: 8 blocks × 512 on ImageNet-1k); renditions, PGD and corruptions stand for ImageNet-R, "
          "-A and -C",
      settings_.command, "percentage points, and numbers of experts", 2};
}

std::string Report::by_name(const char* kind, const std::string& title) const {
  const std::vector<Row> all = rows();
  std::string head = "| |", rule = "|---|", lines;
  for (const Row& row : all) {
    head += std::string(" ") + row.title + " |";
    rule += "---:|";
  }
  for (const auto& each : results_.runs().front().at(kind).items()) {
    const std::string& name = each.key();
    lines += "| " + name + " |";
    for (const Row& row : all)
      lines +=
          " " +
          text("%.1f",
               Summary(results_.values(row.name, [&](const auto& run) { return 100 * mean_of(run.at(kind).at(name)); }))
                   .mean) +
          " |";
    lines += "\n";
  }
  return "\n" + title + ":\n\n" + head + "\n" + rule + "\n" + lines;
}

std::string Report::routing() const {
  const std::vector<Index>& blocks = settings_.network.experts_in;
  if (blocks.empty()) return "";
  std::string lines;
  for (const Row& row : rows()) {
    lines += std::string("| ") + row.title + " |";
    for (std::size_t l = 0; l < blocks.size(); ++l) {
      const auto of = [&](const std::string& name, const auto& measure) {
        return Summary(results_.values(name, measure)).mean;
      };
      const auto of_layer = [&](const char* measure) {
        return [l, measure](const nlohmann::json& run) { return number_in(run.at("layers").at(l).at(measure)); };
      };
      const double base = of(kRows.front().name, of_layer("entropy")), self = of(row.name, of_layer("self"));
      lines +=
          " " + text("%.2f", of(row.name, of_layer("effective"))) + " / " +
          (base > 0 ? text("%.3f", of(row.name, of_layer("entropy")) / base) : "–") + " / " +
          text("%.3f", of(row.name, [&](const auto& run) { return number_in(run.at("fluctuation").at(l)); })) +
          (self > 0 ? " / " + text("%.2f", self) + " / " + text("%.1f", of(row.name, of_layer("neighbours"))) : "") +
          " |";
    }
    lines += "\n";
  }
  return "\nRouting of the test images, means over seeds: effective number of experts (exp of the load's entropy, of " +
         std::to_string(settings_.network.experts) + ") / entropy ratio (mean H(p) over that of " +
         kRows.front().title +
         ") / fluctuation between the last two evaluations / mean weight of a token on itself / tokens that inform "
         "one. "
         "Compare rows only where the first one's effective number has not collapsed:\n\n" +
         head_of_layers("Row", blocks) + lines;
}

/// Figure 4: how the tokens of the test images are spread over the experts.
void Report::draw_loads() const {
  const std::vector<Index>& blocks = settings_.network.experts_in;
  const std::vector<Row> all = rows();
  std::string data, commands;
  for (std::size_t l = 0; l < blocks.size(); ++l) {
    const std::string name = "block" + std::to_string(blocks[l]);
    data += "$" + name + " << EOD\nexpert";
    for (const Row& row : all) data += std::string(" \"") + row.title + '"';
    data += "\n";
    for (Index k = 0; k < settings_.network.experts; ++k) {
      data += std::to_string(k + 1);
      for (const Row& row : all)
        data += text(" %.6g", Summary(results_.values(row.name, [&](const auto& run) {
                                return number_in(run.at("layers").at(l).at("load").at(static_cast<std::size_t>(k)));
                              })).mean);
      data += "\n";
    }
    data += "EOD\n";
    commands += "set title 'block " + std::to_string(blocks[l]) +
                "'\nplot for [row = 2 : " + std::to_string(all.size() + 1) + "] $" + name +
                " using row:xtic(1) title columnheader(row) "
                "linecolor rgb word(colours, row - 1), 1.0 / " +
                std::to_string(settings_.network.experts) + " linecolor rgb '#888888' dashtype 2 title 'even'\n";
  }
  papers::draw(results_.folder(), "load", "1100," + std::to_string(60 + 320 * blocks.size()), data,
               "set multiplot layout " + std::to_string(blocks.size()) +
                   ",1 title 'share of slots that each expert serves, test images'\n"
                   "colours = '#000000 #0072b2 #d55e00 #009e73'\nset style data histograms\nset style fill solid .8\n"
                   "set grid ytics\nset yrange [0:*]\nset xlabel 'expert'\nset key outside right\n" +
                   commands + "unset multiplot\n");
}

Summary Report::at_severity(const Row& row, int severity) const {
  return Summary(results_.values(row.name, [severity](const nlohmann::json& run) {
    if (severity == 0) return 100 * number_in(run.at("test"));
    double sum = 0;
    for (const auto& [name, each] : run.at("corruptions").items())
      sum += 100 * number_in(each.at(static_cast<std::size_t>(severity - 1)));
    return sum / static_cast<double>(run.at("corruptions").size());
  }));
}

nlohmann::json Report::figures() const {
  nlohmann::json series = nlohmann::json::array();
  for (const Row& row : rows()) {
    nlohmann::json line{{"name", row.title}};
    for (int severity = 0; severity <= kSeverities; ++severity) {
      const Summary accuracy = at_severity(row, severity);
      line["x"].push_back(severity);
      line["y"].push_back(accuracy.mean);
      line["low"].push_back(accuracy.mean - accuracy.deviation);
      line["high"].push_back(accuracy.mean + accuracy.deviation);
    }
    series.push_back(std::move(line));
  }
  return nlohmann::json::array({{{"kind", "lines"},
                                 {"title", kSeverityTitle},
                                 {"x", {{"title", kSeverityAxis}}},
                                 {"y", {{"title", kAccuracyAxis}}},
                                 {"series", series}}});
}

}  // namespace vision
