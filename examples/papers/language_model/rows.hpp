#pragma once

#include <array>
#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <neuroinhib/inhibition/posttext.hpp>

#include "corpus.hpp"

namespace language_model {

/// What a table's rows learn, and in which network: rows of one task are compared.
struct Task {
  int paper = 1;
  bool large = false;      ///< the first paper's larger vocabulary, the second one's larger network
  bool published = false;  ///< the second paper's network as the code has it that it builds on
  bool copies = false;     ///< the first paper's research code: it reads the word that it is to predict
  bool balanced = false;   ///< with the Switch transformer's balance loss
  bool biased = false;     ///< with a bias that evens the load
  bool one = false, half = false, twice = false;  ///< M = 1, M = K / 2, and twice as many experts
  bool tuned = false;                             ///< a trained model learns to classify

  auto operator<=>(const Task&) const = default;
  /// What stands behind the names of its rows, such as "@large@copy".
  [[nodiscard]] std::string arms() const {
    std::string text;
    for (const auto& [has, arm] : {std::pair{large, "@large"},
                                   {published, "@published"},
                                   {copies, "@copy"},
                                   {balanced, "@loss"},
                                   {biased, "@bias"},
                                   {one, "@one"},
                                   {half, "@half"},
                                   {twice, "@twice"}})
      if (has) text += arm;
    return text;
  }
  /// The task without what leaves the text as it is.
  [[nodiscard]] Task text() const { return {.paper = paper, .large = large, .published = published, .copies = copies}; }
};

/// What is varied of post-text inhibition: the library's defaults unless an arm says otherwise.
struct Later {
  neuroinhib::Pooling pooling = neuroinhib::Pooling::max;
  neuroinhib::PosttextEvaluation evaluation = neuroinhib::PosttextEvaluation::frozen;
  bool late = false;  ///< acts from a ninth of the steps on, as in the research code
};

/// A row of the tables: which policies, in which paper's network, and what that paper printed.
struct Row {
  std::string name, title;
  Task task{};
  std::string inhibition = "none";  ///< none, random, glu, pretext, posttext, global
  std::string router = "linear";    ///< linear, xmoe, dropout; none: no experts at all
  std::string inform = "none";      ///< none, similarity, attention
  Index every = 1;                  ///< experts in every block, or in every other one (GLaM)
  bool sees_all = false;            ///< the papers' literal reading: routing looks at later words
  std::string published;            ///< as printed
  std::string attacked{};           ///< the same of the attacked text
  std::string scale{};              ///< τ or σ: a number, or "root" for the width's; empty: the call's
  Later later{};                    ///< of post-text inhibition

  /// The name of the row with post-text inhibition's defaults.
  [[nodiscard]] std::string without_choices() const;
};

/// The papers' rows. Their figures: Neural Inhibition, table 2 (normalised loss on 300,000 / 1,000,000 sentences);
/// Mutual-Inform SMoE, tables 1 and 3 (validation / test perplexity of the medium size on WikiText-103, M = 2).
const std::vector<Row>& paper_rows();

/// The inhibitions of rows, none first.
inline constexpr std::array<std::string_view, 6> kInhibitions{"none", "random", "glu", "pretext", "posttext", "global"};
/// The name of a row of the second paper with one of them.
std::string inhibited(std::string_view inhibition, const std::string& row);

/// What a paper says of two rows' losses: that the first one's is lower.
struct RowClaim {
  std::string row, other;
  std::optional<double> published;  ///< row − other in nats, where the published losses are on our scale
  std::optional<double> attacked;   ///< the same of the text with swapped words, where it was printed
};
/// What the second paper's table 7 printed: a forward pass's time and memory over those without what informs the row.
struct PassRatios {
  double time, memory;
};
std::optional<PassRatios> published_pass(const Row& row);

/// The claims of a task's paper on these rows of it.
std::vector<RowClaim> claims_of(const Task& task, const std::vector<Row>& rows);

/// The rows of a list between commas. "table1", "table3" and "table5" to "table8" are those of the second
/// paper's tables, "cross" its rows with every inhibition and without, "choices" post-text inhibition's, with what
/// stands behind. Throws ConfigError for a name that is none, and for one that is given twice.
std::vector<std::string> read_rows(const std::string& text, int paper = 0);

/// A paper's row by its name; or any inhibition with any of the second paper's rows, "inhibition+row".
/// Behind the name, in any order, its arms (rows.cpp). `paper` 0: of both. Throws ConfigError for a name that is none,
/// and for an arm that the row does not have.
Row find_row(const std::string& name, int paper = 0);

}  // namespace language_model
