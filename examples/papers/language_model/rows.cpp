#include "rows.hpp"

#include <algorithm>
#include <cmath>

#include <neuroinhib/core/error.hpp>

#include "../words.hpp"

namespace language_model {

const std::vector<Row>& paper_rows() {
  static const std::vector<Row> rows{
      {"baseline", "Baseline model", {1}, "none", "none", "none", 1, false, "3.69e-6 / 1.17e-8"},
      {"moe", "MoE 3/10 experts", {1}, "none", "linear", "none", 1, false, "3.68e-6 / 2.52e-10"},
      {"random", "Random (dropout 0.5)", {1}, "random", "linear", "none", 1, false, "–"},
      {"glu", "One-layer I. (GLU)", {1}, "glu", "linear", "none", 1, false, "3.37e-6 / 1.82e-10"},
      {"pretext", "Pre-text Inhibition", {1}, "pretext", "linear", "none", 1, false, "–"},
      {"posttext", "Post-text Inhibition", {1}, "posttext", "linear", "none", 1, false, "–"},
      {"global", "Global Inhibition", {1}, "global", "linear", "none", 1, false, "3.31e-6 / 1.81e-10"},
      {"smoe", "SMoE", {2}, "none", "linear", "none", 1, false, "33.29 / 34.84"},
      {"smoe-similarity", "Similarity-inform SMoE", {2}, "none", "linear", "similarity", 1, false, "30.75 / 32.03"},
      {"smoe-attention", "Attention-inform SMoE", {2}, "none", "linear", "attention", 1, false, "31.31 / 32.23"},
      {"glam", "GLaM", {2}, "none", "linear", "none", 2, false, "37.55 / 39.10"},
      {"glam-similarity", "Similarity-inform GLaM", {2}, "none", "linear", "similarity", 2, false, "33.72 / 34.92"},
      {"glam-attention", "Attention-inform GLaM", {2}, "none", "linear", "attention", 2, false, "35.17 / 36.71"},
      {"xmoe", "X-MoE", {2}, "none", "xmoe", "none", 1, false, "33.05 / 34.49"},
      {"xmoe-similarity", "Similarity-inform X-MoE", {2}, "none", "xmoe", "similarity", 1, false, "31.83 / 33.06"},
      {"xmoe-attention", "Attention-inform X-MoE", {2}, "none", "xmoe", "attention", 1, false, "32.06 / 33.24"},
      {"dropout", "SMoE-dropout", {2}, "none", "dropout", "none", 1, false, "33.08 / 34.67"},
      {"dropout-similarity",
       "Similarity-inform SMoE-dropout",
       {2},
       "none",
       "dropout",
       "similarity",
       1,
       false,
       "32.47 / 33.69"},
      {"dropout-attention",
       "Attention-inform SMoE-dropout",
       {2},
       "none",
       "dropout",
       "attention",
       1,
       false,
       "32.21 / 33.91"}};
  return rows;
}

namespace {

constexpr std::array<std::string_view, 5> kInhibitions{"random", "glu", "pretext", "posttext", "global"};
constexpr std::array<std::string_view, 3> kRouters{"linear", "similarity", "attention"};

/// A row of the papers, or a pair; nothing for another name.
std::optional<Row> causal_row(const std::string& name) {
  for (const Row& row : paper_rows())
    if (row.name == name) return row;
  const std::size_t plus = name.find('+');
  if (plus == std::string::npos) return std::nullopt;
  const std::string inhibition = name.substr(0, plus), router = name.substr(plus + 1);
  if (std::find(kInhibitions.begin(), kInhibitions.end(), inhibition) == kInhibitions.end() ||
      std::find(kRouters.begin(), kRouters.end(), router) == kRouters.end())
    return std::nullopt;
  return Row{.name = name,
             .title = inhibition + " + " + router,
             .task = {2},
             .inhibition = inhibition,
             .inform = router == "linear" ? "none" : router,
             .published = "–"};
}

[[noreturn]] void refuse(const std::string& name) {
  std::vector<std::string> names;
  for (const Row& row : paper_rows()) names.push_back(row.name);
  neuroinhib::fail<neuroinhib::ConfigError>(
      "--rows",
      papers::either(names) +
          ", or INHIBITION+ROUTER of random, glu, pretext, posttext, global and linear, similarity, attention",
      '"' + name + '"', papers::suggestion(name, names) + "separate rows by commas");
}

}  // namespace

namespace {

/// An arm of a row: what stands behind the name, what the title says, and whether a row has it.
struct Arm {
  std::string name, title, whose;
  bool (*fits)(const Row&);
  void (*set)(Row&);
};
const std::array<Arm, 3>& arms() {
  constexpr auto kOfFirstPaper = [](const Row& row) { return row.task.paper == 1; };
  static const std::array<Arm, 3> all{
      {{"all", ", not causal", "a row whose routing looks at other words: else there is no mask to lift",
        [](const Row& row) { return row.inform != "none"; }, [](Row& row) { row.sees_all = true; }},
       {"large", ", vocabulary 15,000", "a row of the first paper", kOfFirstPaper,
        [](Row& row) { row.task.large = true; }},
       {"copy", ", copy task", "a row of the first paper", kOfFirstPaper, [](Row& row) { row.task.copies = true; }}}};
  return all;
}

}  // namespace

Row find_row(const std::string& name) {
  std::size_t at = std::min(name.find('@'), name.size());
  const auto found = causal_row(name.substr(0, at));
  if (!found) refuse(name);
  Row row = *found;
  std::vector<std::string> given;
  while (at < name.size()) {
    const std::size_t end = std::min(name.find('@', at + 1), name.size());
    const std::string word = name.substr(at + 1, end - at - 1);
    const auto arm = std::find_if(arms().begin(), arms().end(), [&](const Arm& a) { return a.name == word; });
    if (arm == arms().end() || std::find(given.begin(), given.end(), word) != given.end())
      neuroinhib::fail<neuroinhib::ConfigError>("--rows", "@all, @large or @copy behind a name, each once",
                                                '"' + name.substr(0, 60) + '"', "leave the rest out");
    if (!arm->fits(row))
      neuroinhib::fail<neuroinhib::ConfigError>("--rows", "@" + word + " behind " + arm->whose, '"' + name + '"',
                                                "leave @" + word + " out");
    arm->set(row);
    row.title += arm->title;
    given.push_back(word);
    at = end;
  }
  row.name = name;
  return row;
}

std::vector<RowClaim> claims_of(const Task& task) {
  std::vector<RowClaim> claims;
  if (task.paper == 1) {
    constexpr std::array<std::array<const char*, 2>, 4> kPairs{
        {{"moe", "baseline"}, {"glu", "moe"}, {"global", "moe"}, {"global", "glu"}}};
    for (const auto& [row, other] : kPairs) claims.push_back({row + task.arms(), other + task.arms(), std::nullopt});
    return claims;
  }
  /// Of "validation / test".
  const auto test_loss = [](const std::string& row) {
    const std::string printed = find_row(row).published;
    return std::log(std::stod(printed.substr(printed.find('/') + 1)));
  };
  for (const std::string base : {"smoe", "glam", "xmoe", "dropout"})
    for (const char* inform : {"-similarity", "-attention"})
      claims.push_back({base + inform, base, test_loss(base + inform) - test_loss(base)});
  return claims;
}

}  // namespace language_model
