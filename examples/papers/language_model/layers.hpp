#pragma once

#include <string>
#include <vector>

#include "../results.hpp"
#include "../verdicts.hpp"
#include "rows.hpp"

/// How rows of the second paper route, layer by layer, beside their base rows: its figures 2 and 3.
namespace language_model {

/// The figure that has rows of such a task, and what it shows: "Mutual-Inform SMoE, figure 3: routing, M = 1".
std::string layers_heading(const Task& task);

/// Fluctuation by layer, and mean entropy over the base row's, of these rows and their bases: charts of results.json,
/// means over seeds with bands of one deviation. None without rows.
nlohmann::json layer_figures(const papers::Results& results, const Task& task, const std::vector<RowClaim>& pairs);

/// What the paper's two figures say of SMoE's informed routers, of those pairs that are theirs: less fluctuation, lower
/// entropy.
std::vector<papers::Comparison> layer_claims(const papers::Results& results, const std::vector<RowClaim>& pairs);

}  // namespace language_model
