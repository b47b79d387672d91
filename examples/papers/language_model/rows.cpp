#include "rows.hpp"

#include <algorithm>

#include <neuroinhib/core/error.hpp>

#include "../words.hpp"

namespace language_model {

const std::vector<Row>& paper_rows() {
  static const std::vector<Row> rows{
      {"baseline", "Baseline model", 1, "none", "none", "none", 1, false, "3.69e-6 / 1.17e-8"},
      {"moe", "MoE 3/10 experts", 1, "none", "linear", "none", 1, false, "3.68e-6 / 2.52e-10"},
      {"random", "Random (dropout 0.5)", 1, "random", "linear", "none", 1, false, "–"},
      {"glu", "One-layer I. (GLU)", 1, "glu", "linear", "none", 1, false, "3.37e-6 / 1.82e-10"},
      {"pretext", "Pre-text Inhibition", 1, "pretext", "linear", "none", 1, false, "–"},
      {"posttext", "Post-text Inhibition", 1, "posttext", "linear", "none", 1, false, "–"},
      {"global", "Global Inhibition", 1, "global", "linear", "none", 1, false, "3.31e-6 / 1.81e-10"},
      {"smoe", "SMoE", 2, "none", "linear", "none", 1, false, "33.29 / 34.84"},
      {"smoe-similarity", "Similarity-inform SMoE", 2, "none", "linear", "similarity", 1, false, "30.75 / 32.03"},
      {"smoe-attention", "Attention-inform SMoE", 2, "none", "linear", "attention", 1, false, "31.31 / 32.23"},
      {"glam", "GLaM", 2, "none", "linear", "none", 2, false, "37.55 / 39.10"},
      {"glam-similarity", "Similarity-inform GLaM", 2, "none", "linear", "similarity", 2, false, "33.72 / 34.92"},
      {"glam-attention", "Attention-inform GLaM", 2, "none", "linear", "attention", 2, false, "35.17 / 36.71"},
      {"xmoe", "X-MoE", 2, "none", "xmoe", "none", 1, false, "33.05 / 34.49"},
      {"xmoe-similarity", "Similarity-inform X-MoE", 2, "none", "xmoe", "similarity", 1, false, "31.83 / 33.06"},
      {"xmoe-attention", "Attention-inform X-MoE", 2, "none", "xmoe", "attention", 1, false, "32.06 / 33.24"},
      {"dropout", "SMoE-dropout", 2, "none", "dropout", "none", 1, false, "33.08 / 34.67"},
      {"dropout-similarity", "Similarity-inform SMoE-dropout", 2, "none", "dropout", "similarity", 1, false,
       "32.47 / 33.69"},
      {"dropout-attention", "Attention-inform SMoE-dropout", 2, "none", "dropout", "attention", 1, false,
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
             .paper = 2,
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

Row find_row(const std::string& name) {
  constexpr std::string_view kArm = "@all";
  const bool sees_all = name.ends_with(kArm);
  const auto found = causal_row(sees_all ? name.substr(0, name.size() - kArm.size()) : name);
  if (!found) refuse(name);
  Row row = *found;
  if (!sees_all) return row;
  if (row.inform == "none")
    neuroinhib::fail<neuroinhib::ConfigError>("--rows", "@all behind a row whose routing looks at other words",
                                              '"' + name + '"', "leave @all out: such a row has no mask to lift");
  row.sees_all = true;
  row.name = name;
  row.title += ", not causal";
  return row;
}

}  // namespace language_model
