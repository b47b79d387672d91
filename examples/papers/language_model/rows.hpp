#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "corpus.hpp"

namespace language_model {

/// A row of the tables: which policies, in which paper's network, and what that paper printed.
struct Row {
  std::string name, title;
  int paper = 1;
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

/// A paper's row by its name; or any inhibition with any router, "inhibition+router", in the second paper's network;
/// "@all" behind the name is the arm without a causal mask on the routing. Throws ConfigError for a name that is none,
/// and for @all where the routing looks at no other word.
Row find_row(const std::string& name);

}  // namespace language_model
