#include "rows.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <neuroinhib/core/error.hpp>

#include "../words.hpp"

namespace language_model {

std::string inhibited(std::string_view inhibition, const std::string& row) {
  return inhibition == "none" ? row : std::string(inhibition) + "+" + row;
}

const std::vector<Row>& paper_rows() {
  static const std::vector<Row> rows{
      {"baseline", "Baseline model", {1}, "none", "none", "none", 1, false, "3.69e-6 / 1.17e-8"},
      {"moe", "MoE 3/10 experts", {1}, "none", "linear", "none", 1, false, "3.68e-6 / 2.52e-10"},
      {"random", "Random (dropout 0.5)", {1}, "random", "linear", "none", 1, false, "–"},
      {"glu", "One-layer I. (GLU)", {1}, "glu", "linear", "none", 1, false, "3.37e-6 / 1.82e-10"},
      {"pretext", "Pre-text Inhibition", {1}, "pretext", "linear", "none", 1, false, "–"},
      {"posttext", "Post-text Inhibition", {1}, "posttext", "linear", "none", 1, false, "–"},
      {"global", "Global Inhibition", {1}, "global", "linear", "none", 1, false, "3.31e-6 / 1.81e-10"},
      {"smoe", "SMoE", {2}, "none", "linear", "none", 1, false, "33.29 / 34.84", "41.75 / 43.59"},
      {"smoe-similarity",
       "Similarity-inform SMoE",
       {2},
       "none",
       "linear",
       "similarity",
       1,
       false,
       "30.75 / 32.03",
       "38.33 / 39.92"},
      {"smoe-attention",
       "Attention-inform SMoE",
       {2},
       "none",
       "linear",
       "attention",
       1,
       false,
       "31.31 / 32.23",
       "39.68 / 40.91"},
      {"glam", "GLaM", {2}, "none", "linear", "none", 2, false, "37.55 / 39.10", "48.01 / 49.75"},
      {"glam-similarity",
       "Similarity-inform GLaM",
       {2},
       "none",
       "linear",
       "similarity",
       2,
       false,
       "33.72 / 34.92",
       "42.19 / 43.72"},
      {"glam-attention",
       "Attention-inform GLaM",
       {2},
       "none",
       "linear",
       "attention",
       2,
       false,
       "35.17 / 36.71",
       "44.17 / 45.85"},
      {"xmoe", "X-MoE", {2}, "none", "xmoe", "none", 1, false, "33.05 / 34.49", "41.68 / 42.96"},
      {"xmoe-similarity",
       "Similarity-inform X-MoE",
       {2},
       "none",
       "xmoe",
       "similarity",
       1,
       false,
       "31.83 / 33.06",
       "39.92 / 41.28"},
      {"xmoe-attention",
       "Attention-inform X-MoE",
       {2},
       "none",
       "xmoe",
       "attention",
       1,
       false,
       "32.06 / 33.24",
       "40.35 / 41.73"},
      {"dropout", "SMoE-dropout", {2}, "none", "dropout", "none", 1, false, "33.08 / 34.67", "41.11 / 43.09"},
      {"dropout-similarity",
       "Similarity-inform SMoE-dropout",
       {2},
       "none",
       "dropout",
       "similarity",
       1,
       false,
       "32.47 / 33.69",
       "40.6 / 41.99"},
      {"dropout-attention",
       "Attention-inform SMoE-dropout",
       {2},
       "none",
       "dropout",
       "attention",
       1,
       false,
       "32.21 / 33.91",
       "40.56 / 42.17"}};
  return rows;
}

namespace {

/// What the second paper printed of rows with arms: tables 1, 5, 6 and 8.
struct Printed {
  std::string_view row, clean, attacked;
};
constexpr std::array<Printed, 18> kPrinted{{{"smoe@large", "28.737 / 30.378", "36.43 / 38.34"},
                                            {"smoe-similarity@large", "27.06 / 28.34", "34.65 / 36.28"},
                                            {"smoe-attention@large", "27.26 / 28.69", "34.69 / 36.37"},
                                            {"smoe@one", "39.55 / 40.75", "48.82 / 50.21"},
                                            {"smoe-similarity@one", "37.78 / 39.18", "46.93 / 48.66"},
                                            {"smoe-attention@one", "38.02 / 39.35", "47.20 / 48.72"},
                                            {"smoe@half", "33.48 / 34.92", "41.36 / 42.98"},
                                            {"smoe-similarity@half", "32.5 / 33.81", "40.6 / 42.37"},
                                            {"smoe-attention@half", "31.97 / 33.28", "39.98 / 41.45"},
                                            {"smoe@twice", "31.82 / 33.41", "39.9 / 41.79"},
                                            {"smoe-similarity@twice", "30.41 / 31.62", "38.23 / 39.77"},
                                            {"smoe-attention@twice", "30.39 / 31.85", "37.8 / 39.65"},
                                            {"smoe-similarity@0.1", "32.79 / 34.01", ""},
                                            {"smoe-similarity@2", "30.68 / 32.88", ""},
                                            {"smoe-similarity@root", "32.26 / 33.83", ""},
                                            {"smoe-attention@0.1", "31.93 / 32.67", ""},
                                            {"smoe-attention@2", "31.13 / 32.85", ""},
                                            {"smoe-attention@root", "31.62 / 32.90", ""}}};

/// The rows of the second paper's tables, and of the choices that post-text inhibition leaves.
constexpr std::string_view kTable3 =
    "smoe,smoe-similarity,smoe-attention,xmoe,xmoe-similarity,xmoe-attention,dropout,dropout-similarity,"
    "dropout-attention";
constexpr std::array<std::array<std::string_view, 2>, 7> kTables{
    {{"choices",
      "moe,posttext,posttext@mean,posttext@rows,posttext@average,posttext@previous,posttext@off,posttext@late,"
      "global,global@mean,global@rows,global@average,global@previous,global@off,global@late"},
     {"table1",
      "smoe@one,smoe-similarity@one,smoe-attention@one,smoe,smoe-similarity,smoe-attention,glam,"
      "glam-similarity,glam-attention"},
     {"table3", kTable3},
     {"table7", kTable3},
     {"table5", "smoe@large,smoe-similarity@large,smoe-attention@large"},
     {"table6",
      "smoe@one,smoe-similarity@one,smoe-attention@one,smoe,smoe-similarity,smoe-attention,smoe@half,"
      "smoe-similarity@half,smoe-attention@half,smoe@twice,smoe-similarity@twice,smoe-attention@twice"},
     {"table8",
      "smoe,smoe-similarity@0.1,smoe-similarity,smoe-similarity@2,smoe-similarity@root,smoe-attention@0.1,"
      "smoe-attention,smoe-attention@2,smoe-attention@root"}}};

/// The rows of a table of the second paper, or of the cross product: the second paper's rows without inhibition, and
/// with each. Empty for another name.
std::vector<std::string> table(std::string_view name) {
  const auto found = std::find_if(kTables.begin(), kTables.end(), [&](const auto& t) { return t[0] == name; });
  if (found != kTables.end()) return papers::split_at_commas(std::string((*found)[1]));
  std::vector<std::string> rows;
  if (name != "cross") return rows;
  for (const std::string_view inhibition : kInhibitions)
    for (const Row& row : paper_rows())
      if (row.task.paper == 2) rows.push_back(inhibited(inhibition, row.name));
  return rows;
}

bool is_of(const Row& row, int paper) {
  return paper == 0 || row.task.paper == paper;
}

/// A row of the papers, or a pair; nothing for another name.
std::optional<Row> causal_row(const std::string& name, int paper) {
  for (const Row& row : paper_rows())
    if (row.name == name && is_of(row, paper)) return row;
  const std::size_t plus = name.find('+');
  if (plus == std::string::npos) return std::nullopt;
  const std::string inhibition = name.substr(0, plus);
  auto row = causal_row(name.substr(plus + 1), 2);
  if (!row || row->inhibition != "none" || inhibition == "none" ||
      std::find(kInhibitions.begin(), kInhibitions.end(), inhibition) == kInhibitions.end())
    return std::nullopt;
  row->name = name;
  row->title = inhibition + " + " + row->title;
  row->inhibition = inhibition;
  row->published = "–";
  row->attacked = "";
  return row;
}

[[noreturn]] void refuse(const std::string& name, int paper) {
  std::vector<std::string> names;
  for (const Row& row : paper_rows())
    if (is_of(row, paper)) names.push_back(row.name);
  neuroinhib::fail<neuroinhib::ConfigError>("--rows",
                                            papers::either(names) +
                                                ", or INHIBITION+ROW of random, glu, pretext, posttext, global and a "
                                                "row of the second paper, or table1, table3, table5, table6, table7, "
                                                "table8, cross, choices",
                                            '"' + name + '"',
                                            papers::suggestion(name, names) + "separate rows by commas");
}

void set_scale(Row& row, const std::string& scale) {
  row.scale = scale;
  row.title += (row.inform == "similarity" ? ", τ = " : ", σ = ") + (scale == "root" ? "√D" : scale);
}

/// What the paper printed of a row with arms; a balance loss and a lifted mask are ours, and of recipes it has one.
void set_printed(Row& row, std::string name) {
  Task task = row.task;
  task.balanced = task.biased = task.published = false;
  name += task.arms() + (row.scale.empty() ? "" : "@" + row.scale);
  if (name.find('@') == std::string::npos) return;
  const auto printed = std::find_if(kPrinted.begin(), kPrinted.end(), [&](const Printed& p) { return p.row == name; });
  row.published = printed == kPrinted.end() ? "–" : printed->clean;
  row.attacked = printed == kPrinted.end() ? "" : printed->attacked;
}

/// The logarithm of the test perplexity that was printed as "validation / test".
std::optional<double> test_loss(const std::string& printed) {
  const std::size_t slash = printed.find('/');
  return slash == std::string::npos ? std::nullopt : std::optional(std::log(std::stod(printed.substr(slash + 1))));
}
/// Row − other of such losses, where both were printed.
std::optional<double> printed_difference(const std::string& row, const std::string& other) {
  const auto loss = test_loss(row), loss_of_other = test_loss(other);
  return loss && loss_of_other ? std::optional(*loss - *loss_of_other) : std::nullopt;
}

/// An arm of a row: what stands behind the name, whether a row has it, and what it changes. A row has one of a kind.
struct Arm {
  std::string name, kind, whose;
  bool (*fits)(const Row&);
  void (*set)(Row&);
};
const std::vector<Arm>& arms() {
  constexpr auto kFirst = [](const Row& row) { return row.task.paper == 1; };
  constexpr auto kSecond = [](const Row& row) { return row.task.paper == 2; };
  constexpr auto kInformed = [](const Row& row) { return row.inform != "none"; };
  constexpr auto kLater = [](const Row& row) { return row.inhibition == "posttext" || row.inhibition == "global"; };
  constexpr auto kAny = [](const Row&) { return true; };
  const std::string first = "a row of the first paper", second = "a row of the second paper",
                    informed = "a row whose routing looks at other words", later = "a row with post-text inhibition";
  static const std::vector<Arm> all{
      {"all", "mask", informed + ": else there is no mask to lift", kInformed,
       [](Row& row) { row.sees_all = true, row.title += ", not causal"; }},
      {"large", "size", "a row", kAny,
       [](Row& row) {
         row.task.large = true;
         row.title += row.task.paper == 1 ? ", vocabulary 15,000" : ", large";
       }},
      {"published", "mask", second, kSecond,
       [](Row& row) { row.task.published = true, row.title += ", published recipe"; }},
      {"copy", "task", first, kFirst, [](Row& row) { row.task.copies = true, row.title += ", copy task"; }},
      {"loss", "balance", second, kSecond, [](Row& row) { row.task.balanced = true, row.title += ", balance loss"; }},
      {"bias", "balance", second, kSecond, [](Row& row) { row.task.biased = true, row.title += ", balance bias"; }},
      {"mean", "pooling", later, kLater,
       [](Row& row) { row.later.pooling = neuroinhib::Pooling::mean, row.title += ", mean pooling"; }},
      {"rows", "pooling", later, kLater,
       [](Row& row) { row.later.pooling = neuroinhib::Pooling::row, row.title += ", row by row"; }},
      {"average", "evaluation", later, kLater,
       [](Row& row) {
         row.later.evaluation = neuroinhib::PosttextEvaluation::average;
         row.title += ", averaged in evaluation";
       }},
      {"previous", "evaluation", later, kLater,
       [](Row& row) {
         row.later.evaluation = neuroinhib::PosttextEvaluation::previous_batch;
         row.title += ", batch before in evaluation";
       }},
      {"off", "evaluation", later, kLater,
       [](Row& row) {
         row.later.evaluation = neuroinhib::PosttextEvaluation::off;
         row.title += ", off in evaluation";
       }},
      {"late", "start", later, kLater, [](Row& row) { row.later.late = true, row.title += ", late"; }},
      {"one", "M", second, kSecond, [](Row& row) { row.task.one = true, row.title += ", M = 1"; }},
      {"half", "M", second, kSecond, [](Row& row) { row.task.half = true, row.title += ", M = K / 2"; }},
      {"twice", "K", second, kSecond, [](Row& row) { row.task.twice = true, row.title += ", K doubled"; }},
      {"0.1", "scale", informed, kInformed, [](Row& row) { set_scale(row, "0.1"); }},
      {"2", "scale", informed, kInformed, [](Row& row) { set_scale(row, "2"); }},
      {"root", "scale", informed, kInformed, [](Row& row) { set_scale(row, "root"); }}};
  return all;
}

[[noreturn]] void refuse_arm(const std::string& name) {
  std::vector<std::string> names;
  for (const Arm& arm : arms()) names.push_back("@" + arm.name);
  neuroinhib::fail<neuroinhib::ConfigError>("--rows",
                                            papers::either(names) + " behind a name, each once and one of a kind",
                                            '"' + name.substr(0, 60) + '"', "leave the rest out");
}

}  // namespace

std::string Row::without_choices() const {
  std::string plain = name;
  for (const Arm& arm : arms())
    if (arm.kind == "pooling" || arm.kind == "evaluation" || arm.kind == "start")
      if (const std::size_t at = plain.find("@" + arm.name); at != std::string::npos)
        plain.erase(at, 1 + arm.name.size());
  return plain;
}

Row find_row(const std::string& name, int paper) {
  std::size_t at = std::min(name.find('@'), name.size());
  const std::string own = name.substr(0, at);
  const auto found = causal_row(own, paper);
  if (!found) refuse(name, paper);
  Row row = *found;
  std::vector<std::string> kinds;
  while (at < name.size()) {
    const std::size_t end = std::min(name.find('@', at + 1), name.size());
    const std::string word = name.substr(at + 1, end - at - 1);
    const auto arm = std::find_if(arms().begin(), arms().end(), [&](const Arm& a) { return a.name == word; });
    if (arm == arms().end() || std::find(kinds.begin(), kinds.end(), arm->kind) != kinds.end()) refuse_arm(name);
    if (!arm->fits(row))
      neuroinhib::fail<neuroinhib::ConfigError>("--rows", "@" + word + " behind " + arm->whose, '"' + name + '"',
                                                "leave @" + word + " out");
    arm->set(row);
    kinds.push_back(arm->kind);
    at = end;
  }
  row.name = name;
  if (row.task.paper == 2) set_printed(row, own);
  return row;
}

std::vector<std::string> read_rows(const std::string& text, int paper) {
  std::vector<std::string> rows;
  std::set<std::string> given;
  for (const std::string& name : papers::split_at_commas(text)) {
    if (!given.insert(name).second)
      neuroinhib::fail<neuroinhib::ConfigError>("--rows", "each row once", name + " twice", "name it once");
    const std::size_t at = std::min(name.find('@'), name.size());
    std::vector<std::string> own = table(std::string_view(name).substr(0, at));
    if (own.empty()) own.push_back(name.substr(0, at));
    for (const std::string& row : own)
      if (const std::string whole = row + name.substr(at); std::find(rows.begin(), rows.end(), whole) == rows.end()) {
        (void)find_row(whole, paper);
        rows.push_back(whole);
      }
  }
  return rows;
}

std::optional<PassRatios> published_pass(const Row& row) {
  struct Published {
    std::string_view router, inform;
    PassRatios ratios;
  };
  static constexpr std::array<Published, 6> kTable7{{{"linear", "similarity", {1.048, 1.008}},
                                                     {"linear", "attention", {1.070, 1.060}},
                                                     {"xmoe", "similarity", {1.026, 1.009}},
                                                     {"xmoe", "attention", {1.038, 1.060}},
                                                     {"dropout", "similarity", {1.047, 1.008}},
                                                     {"dropout", "attention", {1.064, 1.060}}}};
  if (row.every > 1 || row.inhibition != "none" || row.task.large || row.task.one || row.task.half || row.task.twice)
    return std::nullopt;
  for (const Published& published : kTable7)
    if (published.router == row.router && published.inform == row.inform) return published.ratios;
  return std::nullopt;
}

std::vector<RowClaim> claims_of(const Task& task, const std::vector<Row>& rows) {
  std::vector<RowClaim> claims;
  if (task.paper == 1) {
    constexpr std::array<std::array<const char*, 2>, 4> kPairs{
        {{"moe", "baseline"}, {"glu", "moe"}, {"global", "moe"}, {"global", "glu"}}};
    for (const auto& [row, other] : kPairs) claims.push_back({row + task.arms(), other + task.arms(), {}, {}});
    return claims;
  }
  for (const Row& row : rows)
    for (const Row& other : rows)
      if (row.inform != "none" && other.inform == "none" && row.inhibition == "none" && other.inhibition == "none" &&
          row.router == other.router && row.every == other.every)
        claims.push_back({row.name, other.name, printed_difference(row.published, other.published),
                          printed_difference(row.attacked, other.attacked)});
  return claims;
}

}  // namespace language_model
