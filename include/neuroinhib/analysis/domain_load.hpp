#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/analysis/choices.hpp>
#include <neuroinhib/analysis/entropy.hpp>

/// Whether experts specialise: what an expert tells of its token's domain.
namespace neuroinhib {

/// Slots by domain and expert, added up over batches.
struct DomainLoad {
  Index domains = 0;          ///< D
  Index experts = 0;          ///< K
  std::vector<double> slots;  ///< [D, K]

  /// Adds other tokens of the same layer. Throws ShapeError where domains or experts are more or fewer.
  DomainLoad& operator+=(const DomainLoad& other) {
    if (other.slots.empty()) return *this;
    if (slots.empty()) return *this = other;
    if (domains != other.domains || experts != other.experts)
      fail<ShapeError>("domain load", Shape{domains, experts}.text() + " domains and experts, as before",
                       Shape{other.domains, other.experts}.text(), "analyse each layer with an estimator of its own");
    for (std::size_t i = 0; i < slots.size(); ++i) slots[i] += other.slots[i];
    return *this;
  }

  /// [K] the share of a domain's slots that each expert serves; zeros where the domain has none.
  [[nodiscard]] std::vector<double> load(Index domain) const {
    const auto first = slots.begin() + domain * experts;
    std::vector<double> shares(first, first + experts);
    double all = 0;
    for (const double share : shares) all += share;
    if (all > 0)
      for (double& share : shares) share /= all;
    return shares;
  }
  /// I(domain; expert) of a slot, in nats: 0 where every domain is routed alike.
  [[nodiscard]] double mutual_information() const {
    const double information = entropy_of(margin(true)) + entropy_of(margin(false)) - entropy_of(slots);
    return std::max(information, 0.0);
  }
  /// The share of the domain's entropy that the expert tells, from 0 to 1; 0 for a single domain.
  [[nodiscard]] double told() const {
    const double domain_entropy = entropy_of(margin(true));
    return domain_entropy > 0 ? mutual_information() / domain_entropy : 0;
  }
  /// What mutual_information() comes to about, in nats, if domains are routed alike, since slots are few: Miller's
  /// bias, (D − 1)(K − 1) / 2N of the domains and experts that occur.
  [[nodiscard]] double by_chance() const {
    double all = 0, freedom = 1;
    for (const double count : slots) all += count;
    for (const bool of_domains : {true, false}) {
      const auto counts = margin(of_domains);
      freedom *= static_cast<double>(std::count_if(counts.begin(), counts.end(), [](double n) { return n > 0; })) - 1;
    }
    return all > 0 ? freedom / (2 * all) : 0;
  }

 private:
  /// Slots of each domain, or of each expert.
  [[nodiscard]] std::vector<double> margin(bool of_domains) const {
    std::vector<double> sums(static_cast<std::size_t>(of_domains ? domains : experts));
    for (Index i = 0; i < std::ssize(slots); ++i)
      sums[static_cast<std::size_t>(of_domains ? i / experts : i % experts)] += slots[static_cast<std::size_t>(i)];
    return sums;
  }
};

/// The slots of a batch, from expert [tokens, chosen] and domain [tokens] on the host. Tokens whose domain is below
/// zero are left out. Throws ShapeError, and NumericError for numbers beyond the experts or domains.
[[nodiscard]] inline DomainLoad domain_load(const View<const int>& expert, Index experts, const View<const int>& domain,
                                            Index domains) {
  for (const int number : domain)
    if (number >= domains)
      fail<NumericError>("domain load", "domains from 0 to " + std::to_string(domains - 1), std::to_string(number),
                         "give the number of domains, and below zero for padding");
  if (domain.size() != expert.rows())
    fail<ShapeError>("domain load", "a domain for each of " + std::to_string(expert.rows()) + " tokens",
                     std::to_string(domain.size()), "pass the domains of this batch");
  DomainLoad counts{domains, experts, std::vector<double>(static_cast<std::size_t>(domains * experts))};
  detail::for_each_choice("domain load", expert, experts, domain, [&](Index token, std::span<const int> chosen) {
    for (const int k : chosen)
      if (k < experts) counts.slots[static_cast<std::size_t>(domain[token] * experts + k)] += 1;
  });
  return counts;
}

}  // namespace neuroinhib
