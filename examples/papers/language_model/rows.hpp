#pragma once

#include <array>
#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "corpus.hpp"

namespace language_model {

/// What a table's rows learn: rows of one task are compared.
struct Task {
  int paper = 1;
  bool large = false;   ///< the first paper's larger vocabulary
  bool copies = false;  ///< the first paper's research code: it reads the word that it is to predict

  auto operator<=>(const Task&) const = default;
  /// What stands behind the names of its rows: "", "@large", "@copy" or "@large@copy".
  [[nodiscard]] std::string arms() const { return std::string(large ? "@large" : "") + (copies ? "@copy" : ""); }
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
};

/// The papers' rows. Their figures: Neural Inhibition, table 2 (normalised loss on 300,000 / 1,000,000 sentences);
/// Mutual-Inform SMoE, tables 1 and 3 (validation / test perplexity of the medium size on WikiText-103).
const std::vector<Row>& paper_rows();

/// What a paper says of two rows' losses: that the first one's is lower.
struct RowClaim {
  std::string row, other;
  std::optional<double> published;  ///< row − other in nats, where the published losses are on our scale
};
/// The claims of a task's paper.
std::vector<RowClaim> claims_of(const Task& task);

/// A paper's row by its name; or any inhibition with any router, "inhibition+router", in the second paper's network.
/// Behind the name, in any order: "@all", the arm without a causal mask on the routing; for the first paper's rows
/// "@large", the larger vocabulary, and "@copy", the research code's task. Throws ConfigError for a name that is none,
/// and for an arm that the row does not have.
Row find_row(const std::string& name);

}  // namespace language_model
