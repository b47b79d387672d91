#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common.hpp"

/// What our runs say of a published difference between two rows.
namespace papers {

/// A published difference, row − other.
struct Claim {
  std::string text;      ///< what is compared, for people to read
  double direction = 1;  ///< its sign
  std::optional<double>
      published;  ///< its size with its sign; none where the published numbers are on another scale than ours
  std::optional<double> published_half{};  ///< of its 95 % interval
};

/// A claim beside our differences, paired by seed.
struct Comparison {
  Claim claim;
  double mean = 0, half = INFINITY;  ///< of ours, with its 95 % interval
  std::size_t seeds = 0;
};

enum class Verdict {
  holds,     ///< ours has the claim's sign for certain, and is not certainly smaller than published
  smaller,   ///< ours has the claim's sign for certain, and is certainly smaller than published
  excluded,  ///< a difference of the published size, or of the published sign where the size is unknown, is excluded
  undecided
};
inline constexpr std::array<std::string_view, 4> kVerdictNames{"holds", "holds, smaller", "excluded", "not decided"};

/// "Certain" is at 95 %. Without a spread nothing is decided: fewer than two seeds, or differences that are all equal,
/// as shares of a few images may be.
inline Verdict judge(const Comparison& comparison) {
  const auto& [claim, mean, half, seeds] = comparison;
  if (seeds < 2 || half == 0) return Verdict::undecided;
  const double least = claim.direction * mean - half, most = claim.direction * mean + half;
  const bool reaches = claim.published ? most >= std::abs(*claim.published) : most >= 0;
  if (least > 0) return reaches ? Verdict::holds : Verdict::smaller;
  return reaches ? Verdict::undecided : Verdict::excluded;
}

/// The mean of differences with its interval (Student's t); infinitely wide from a single one.
inline Comparison compare(Claim claim, const std::vector<double>& differences) {
  const Summary paired(differences);
  return {std::move(claim), paired.mean, paired.count > 1 ? half_interval(paired) : INFINITY, paired.count};
}

/// A published mean and deviation over runs.
struct Published {
  double mean = 0, deviation = 0;
  std::size_t runs = 0;
};

/// The claim that `row` differs from `other` as published, with the interval that the published deviations give
/// (Welch's, since published runs are not paired; degrees of freedom rounded down).
inline Claim claim_of(std::string text, const Published& row, const Published& other) {
  const auto variance = [](const Published& p) { return p.deviation * p.deviation / static_cast<double>(p.runs); };
  const auto share = [&](const Published& p) { return variance(p) * variance(p) / static_cast<double>(p.runs - 1); };
  const double both = variance(row) + variance(other), difference = row.mean - other.mean;
  const auto degrees = static_cast<std::size_t>(both * both / (share(row) + share(other)));
  return {std::move(text), difference < 0 ? -1.0 : 1.0, difference, student_95(degrees) * std::sqrt(both)};
}

/// Seeds from which on the interval is narrower than the published difference, so that it cannot hold both that and
/// zero: the smallest n with 2 t(n − 1) s / √n < |published|. `deviation`: s of paired differences, as a pilot has it.
/// None beyond 1,000.
inline std::optional<std::size_t> seeds_needed(double published, double deviation) {
  constexpr std::size_t kMax = 1000;
  for (std::size_t n = 2; n <= kMax; ++n)
    if (2 * student_95(n - 1) * deviation / std::sqrt(static_cast<double>(n)) < std::abs(published)) return n;
  return std::nullopt;
}
inline std::optional<std::size_t> seeds_needed(const Comparison& comparison) {
  const auto& [claim, mean, half, seeds] = comparison;
  if (!claim.published || seeds < 2) return std::nullopt;
  return seeds_needed(*claim.published, half * std::sqrt(static_cast<double>(seeds)) / student_95(seeds - 1));
}

/// As results.json keeps it; numbers that are missing are null.
inline nlohmann::json to_json(const Comparison& comparison) {
  const auto or_null = [](const auto& value) { return value ? nlohmann::json(*value) : nlohmann::json(); };
  const auto& [claim, mean, half, seeds] = comparison;
  return {{"claim", claim.text},
          {"direction", claim.direction},
          {"published", or_null(claim.published)},
          {"published_half", or_null(claim.published_half)},
          {"ours", mean},
          {"half", seeds < 2 ? nlohmann::json() : nlohmann::json(half)},
          {"seeds", seeds},
          {"verdict", kVerdictNames[static_cast<std::size_t>(judge(comparison))]},
          {"seeds_needed", or_null(seeds_needed(comparison))}};
}
/// Reads what to_json() wrote; the verdict is judged anew. Throws nlohmann::json::exception.
inline Comparison comparison_of(const nlohmann::json& json) {
  const auto number = [&](const char* name) {
    const auto& value = json.at(name);
    return value.is_null() ? std::nullopt : std::optional(value.get<double>());
  };
  return {{json.at("claim"), json.at("direction"), number("published"), number("published_half")},
          json.at("ours"),
          number("half").value_or(INFINITY),
          json.at("seeds")};
}

/// How comparisons came about.
struct Circumstances {
  std::string of;       ///< the published table, for a heading
  std::string scale;    ///< what was scaled down from the published experiment
  std::string command;  ///< what was run
  std::string unit;     ///< of the differences
  int decimals = 2;     ///< of ours, for people
};

/// The list "verdicts" of results.json.
inline nlohmann::json verdicts_json(const Circumstances& circumstances, const std::vector<Comparison>& comparisons) {
  auto verdicts = nlohmann::json::array();
  for (const Comparison& comparison : comparisons) {
    nlohmann::json verdict = to_json(comparison);
    verdict.update({{"of", circumstances.of},
                    {"scale", circumstances.scale},
                    {"command", circumstances.command},
                    {"unit", circumstances.unit},
                    {"decimals", circumstances.decimals}});
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

/// "+10.9 ± 7.3", with real minus signs.
inline std::string with_half(int places, double mean, std::optional<double> half) {
  std::array<char, 96> text{};
  if (half && std::isfinite(*half))
    std::snprintf(text.data(), text.size(), "%+.*f ± %.*f", places, mean, places, *half);
  else
    std::snprintf(text.data(), text.size(), "%+.*f", places, mean);
  std::string line = text.data();
  if (line.starts_with('-')) line.replace(0, 1, "−");
  return line;
}

namespace detail {

/// The lines above a table of verdicts that share their circumstances.
inline std::string heading(const nlohmann::json& verdict) {
  const auto text = [&](const char* name) { return verdict.at(name).get<std::string>(); };
  return "**" + text("of") + "**, " + text("unit") + ". Scale: " + text("scale") + ". Command: `" + text("command") +
         "`.\n\n| Claim | published | ours | seeds | seeds needed | verdict |\n|---|---:|---:|---:|---:|---|\n";
}

}  // namespace detail

/// What verdicts_json() made, in Markdown: a table for all that share their circumstances, a line a claim. Throws
/// nlohmann::json::exception for anything else.
inline std::string verdict_tables(const nlohmann::json& verdicts) {
  std::string text, heading;
  for (const auto& json : verdicts) {
    if (const std::string own = detail::heading(json); own != heading) {
      text += (text.empty() ? "" : "\n") + own;
      heading = own;
    }
    const Comparison comparison = comparison_of(json);
    const auto& [claim, mean, half, seeds] = comparison;
    const auto decimals = json.at("decimals").get<int>();
    const auto needed = seeds_needed(comparison);
    text += "| " + claim.text + " | " +
            (claim.published ? with_half(decimals - 1, *claim.published, claim.published_half)
                             : std::string(claim.direction > 0 ? "more" : "less")) +
            " | " + with_half(decimals, mean, half) + " | " + std::to_string(seeds) + " | " +
            (needed ? std::to_string(*needed) : "–") + " | " +
            std::string(kVerdictNames[static_cast<std::size_t>(judge(comparison))]) + " |\n";
  }
  return text;
}

}  // namespace papers
