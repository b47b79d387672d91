// Estimators of routing against brute force: loads, fluctuation, co-selection, domains, neighbours, extreme experts.

#include <map>
#include <set>

#include <neuroinhib/analysis/co_selection.hpp>
#include <neuroinhib/analysis/domain_load.hpp>
#include <neuroinhib/analysis/expert_activations.hpp>
#include <neuroinhib/analysis/fluctuation.hpp>
#include <neuroinhib/analysis/neighbours.hpp>
#include <neuroinhib/analysis/routing.hpp>

#include "support.hpp"

using namespace testing;

namespace {

constexpr Index kTokens = 500, kChosen = 3, kDomains = 4;
constexpr int kExperts = 70;  // more than the bits of a word

/// Choices of different experts, some slots without one, and a domain for each token, padding among them. Expert 69 is
/// never chosen, domain 3 never seen, and expert 0 serves domain 0 alone.
struct Choices {
  std::vector<int> experts, domains;

  explicit Choices(std::uint64_t seed) {
    SequentialRandom random(seed, 5);
    for (Index token = 0; token < kTokens; ++token) {
      const auto domain = static_cast<int>(random.integer(-1, 2));
      domains.push_back(domain);
      std::set<int> chosen;
      while (chosen.size() < kChosen) chosen.insert(static_cast<int>(random.integer(domain == 0 ? 0 : 1, 8)) * 8);
      for (const int k : chosen) experts.push_back(k == 64 ? kExperts : k);
    }
  }
  [[nodiscard]] View<const int> expert(Index first = 0, Index last = kTokens) const {
    return {experts.data() + first * kChosen, {last - first, kChosen}};
  }
  [[nodiscard]] View<const int> domain(Index first = 0, Index last = kTokens) const {
    return {domains.data() + first, {last - first}};
  }
  /// The experts of a token, without slots that have none.
  [[nodiscard]] std::set<int> set(Index token) const {
    std::set<int> some(experts.begin() + token * kChosen, experts.begin() + (token + 1) * kChosen);
    some.erase(kExperts);
    return some;
  }
  [[nodiscard]] bool counts(Index token) const { return domains[static_cast<std::size_t>(token)] >= 0; }
};

/// The sum over batches of several sizes, one token among them, of batch(first, last).
template <class Batch>
auto over_batches(const Batch& batch) {
  auto sums = batch(0, 1);
  sums += batch(1, 117);
  sums += batch(117, 118);
  return sums += batch(118, kTokens);
}

}  // namespace

TEST_CASE("fluctuation counts tokens whose sets differ, for any number of experts, in any order") {
  const Choices before(1), other(2);
  Choices after = before;
  std::copy(other.experts.begin(), other.experts.begin() + 150 * kChosen, after.experts.begin());
  std::reverse(after.experts.end() - 100 * kChosen, after.experts.end() - 97 * kChosen);
  const auto sums = over_batches([&](Index first, Index last) {
    return fluctuation(before.expert(first, last), after.expert(first, last), kExperts, before.domain(first, last));
  });
  double tokens = 0, changed = 0, slots = 0, replaced = 0;
  for (Index token = 0; token < kTokens; ++token) {
    if (!before.counts(token)) continue;
    const auto first = before.set(token), second = after.set(token);
    tokens += 1;
    changed += first != second ? 1 : 0;
    slots += static_cast<double>(first.size());
    for (const int k : first) replaced += second.contains(k) ? 0 : 1;
  }
  CHECK(changed > 0);
  CHECK(sums.tokens == tokens);
  CHECK(sums.share() == changed / tokens);
  CHECK(sums.replaced_share() == replaced / slots);

  const std::vector<int> one{3, 5}, swapped{5, 3}, high{3, 69}, more{3, 5, 7};
  const auto share = [](const std::vector<int>& a, const std::vector<int>& b) {
    return fluctuation({a.data(), {1, std::ssize(a)}}, {b.data(), {1, std::ssize(b)}}, kExperts).share();
  };
  CHECK(share(one, swapped) == 0);
  CHECK(share(one, high) == 1);  // 5 and 69 are equal modulo 64
  CHECK(share(one, more) == 1);
  CHECK(Fluctuation{}.share() == 0);
  CHECK(Fluctuation{}.replaced_share() == 0);
}

TEST_CASE("co-selection counts the tokens of each pair of experts") {
  const Choices choices(3);
  const auto counts = over_batches([&](Index first, Index last) {
    return co_selection(choices.expert(first, last), kExperts, choices.domain(first, last));
  });
  double tokens = 0;
  std::map<std::pair<int, int>, double> pairs;
  for (Index token = 0; token < kTokens; ++token) {
    if (!choices.counts(token)) continue;
    tokens += 1;
    for (const int a : choices.set(token))
      for (const int b : choices.set(token)) pairs[{a, b}] += 1;
  }
  CHECK(counts.tokens == tokens);
  for (int a = 0; a < kExperts; ++a)
    for (int b = 0; b < kExperts; ++b) REQUIRE(counts.both(a, b) == pairs[{a, b}]);
  CHECK(counts.share(8, 16) == doctest::Approx(pairs[{8, 16}] / pairs[{8, 8}]));
  CHECK(counts.lift(8, 16) == doctest::Approx(pairs[{8, 16}] * tokens / (pairs[{8, 8}] * pairs[{16, 16}])));
  CHECK(counts.lift(8, 16) == doctest::Approx(counts.lift(16, 8)));
  CHECK(counts.share(69, 8) == 0);
  CHECK(counts.lift(8, 69) == 0);
}

TEST_CASE("mutual information of domains and experts is what the sum over their pairs gives") {
  const Choices choices(4);
  const auto load = over_batches([&](Index first, Index last) {
    return domain_load(choices.expert(first, last), kExperts, choices.domain(first, last), kDomains);
  });
  std::map<std::pair<int, int>, double> slots;
  std::map<int, double> of_domain, of_expert;
  double all = 0;
  for (Index token = 0; token < kTokens; ++token) {
    if (!choices.counts(token)) continue;
    const int domain = choices.domains[static_cast<std::size_t>(token)];
    for (const int k : choices.set(token)) {
      slots[{domain, k}] += 1;
      of_domain[domain] += 1;
      of_expert[k] += 1;
      all += 1;
    }
  }
  double information = 0, domain_entropy = 0;
  for (const auto& [pair, count] : slots)
    information += count / all * std::log(count * all / (of_domain[pair.first] * of_expert[pair.second]));
  for (const auto& [domain, count] : of_domain) domain_entropy -= count / all * std::log(count / all);
  CHECK(information > 0);
  CHECK(load.mutual_information() == doctest::Approx(information).epsilon(1e-12));
  CHECK(load.told() == doctest::Approx(information / domain_entropy).epsilon(1e-12));
  CHECK(load.by_chance() == doctest::Approx(2 * 7 / (2 * all)));
  CHECK(load.load(1)[8] == doctest::Approx(slots[{1, 8}] / of_domain[1]));
  CHECK(load.load(1)[0] == 0);
  CHECK(load.load(3) == std::vector<double>(kExperts));

  const DomainLoad alike{2, 3, {1, 2, 3, 10, 20, 30}}, apart{2, 2, {5, 0, 0, 5}}, single{1, 2, {4, 4}};
  CHECK(alike.mutual_information() == doctest::Approx(0).epsilon(1e-14));
  CHECK(alike.mutual_information() >= 0);
  CHECK(apart.mutual_information() == doctest::Approx(std::log(2)));
  CHECK(apart.told() == doctest::Approx(1));
  CHECK(single.told() == 0);
  CHECK(DomainLoad{2, 2, {0, 0, 0, 0}}.mutual_information() == 0);
  CHECK(DomainLoad{2, 2, {0, 0, 0, 0}}.by_chance() == 0);
}

TEST_CASE("choices that do not fit, unknown experts and unknown domains are refused") {
  const std::vector<int> expert{0, 1, 2, 3}, four{0, 1, 2, 4}, below{0, 1, -1, 3}, three{0, 0, 1}, two{0, 1};
  const auto matrix = [](const std::vector<int>& values) { return View<const int>(values.data(), {2, 2}); };
  check_error<NumericError>([&] { (void)co_selection(matrix(four), 3); }, {"experts from 0 to 2", "got 4"});
  check_error<NumericError>([&] { (void)co_selection(matrix(below), 4); }, {"experts from 0 to 3", "got -1"});
  check_error<ShapeError>([&] { (void)co_selection(matrix(expert), 4, three); }, {"each of 2 tokens", "got 3"});
  check_error<NumericError>([&] { (void)fluctuation(matrix(expert), matrix(four), 3); }, {"from 0 to 2", "got 4"});
  check_error<ShapeError>([&] { (void)fluctuation(matrix(expert), {expert.data(), {4, 1}}, 4); },
                          {"2 tokens, as before", "got 4"});
  check_error<NumericError>([&] { (void)domain_load(matrix(expert), 4, two, 1); }, {"domains from 0 to 0", "got 1"});
  check_error<ShapeError>([&] { (void)domain_load(matrix(expert), 4, three, 2); }, {"each of 2 tokens", "got 3"});
  CoSelection pairs = co_selection(matrix(expert), 4);
  check_error<ShapeError>([&] { pairs += co_selection(matrix(expert), 5); }, {"4 experts", "got 5"});
  DomainLoad load = domain_load(matrix(expert), 4, two, 2);
  check_error<ShapeError>([&] { load += domain_load(matrix(expert), 4, two, 3); }, {"[2, 4]", "[3, 4]"});
}

TEST_CASE("variation and effective number of experts tell an even load from a collapsed one") {
  RoutingAnalysis even{{5, 5, 5, 5}, 8, 20}, collapsed{{20, 0, 0, 0}, 2, 20}, some{{6, 3, 2, 1}, 0, 6};
  CHECK(even.variation() == 0);
  CHECK(even.effective_experts() == doctest::Approx(4));
  CHECK(collapsed.variation() == doctest::Approx(std::sqrt(3)));
  CHECK(collapsed.effective_experts() == doctest::Approx(1));
  CHECK(some.variation() == doctest::Approx(std::sqrt((9 + 0 + 1 + 4) / 4.) / 3));
  const double entropy = .5 * std::log(2) + .25 * std::log(4) + std::log(6) / 6 + std::log(12) / 12;
  CHECK(some.effective_experts() == doctest::Approx(std::exp(entropy)));
  CHECK(RoutingAnalysis{}.variation() == 0);
  CHECK(RoutingAnalysis{}.effective_experts() == 0);
  CHECK(entropy_ratio(collapsed, even) == doctest::Approx(.25));
  check_error<NumericError>([&] { (void)entropy_ratio(even, some); }, {"entropy above 0", "got 0"});
  check_error<NumericError>([&] { (void)entropy_of(std::vector{.5, -.1}); }, {"weights ≥ 0", "got -0.1"});
  check_error<NumericError>([&] { (void)entropy_of(std::vector{.5, double{NAN}}); }, {"got nan"});
}

TEST_CASE("effective neighbours are means over the tokens that are not padding") {
  std::vector<float> entropy{0, std::log(2.F), std::log(8.F), 100}, self{1, .5F, .125F, 0};
  const std::vector<int> document{0, 0, 0, -1};
  const auto part = [&](Index first, Index last) {
    return neighbours(View<float>(entropy.data() + first, {last - first}),
                      View<float>(self.data() + first, {last - first}), {document.data() + first, {last - first}});
  };
  Neighbours sums = part(0, 2);
  sums += part(2, 4);
  CHECK(sums.tokens == 3);
  CHECK(sums.effective() == doctest::Approx(11. / 3));
  CHECK(sums.inform().self_weight == doctest::Approx(1.625 / 3));
  CHECK(sums.inform().neighbours == doctest::Approx(std::cbrt(16)));
  CHECK(Neighbours{}.effective() == 0);
  check_error<NumericError>([&] { (void)part(3, 4).inform(); }, {"at least one token"});
  entropy[1] = NAN;
  check_error<NumericError>([&] { (void)part(0, 2); }, {"nan in row 1"});
  check_error<ShapeError>([&] { (void)neighbours(View<float>(entropy), View<float>(self.data(), {3})); },
                          {"each of 4 tokens", "got 3"});
}

TEST_CASE("experts of extreme activation stand out from the median, and experts that nobody asked do not count") {
  std::vector<double> outputs{1, -2, /**/ 3, 4, /**/ -50, 0, /**/ 1, 1, /**/ 9e9, 9e9};
  const std::vector<int> expert{0, 1, 2, 0, 5};  // the last slot has none; 3 and 4 serve nobody
  const auto part = [&](Index first, Index last) {
    return expert_activations(View<double>(outputs.data() + 2 * first, {last - first, 2}),
                              {expert.data() + first, {last - first}}, 5);
  };
  ExpertActivations sums = part(0, 3);
  sums += part(3, 5);
  CHECK(sums.largest == std::vector<double>{2, 4, 50, 0, 0});
  CHECK(sums.numbers == std::vector<double>{4, 2, 2, 0, 0});
  CHECK(sums.size()[0] == doctest::Approx(std::sqrt(7. / 4)));
  CHECK(sums.size()[4] == 0);
  CHECK(sums.extreme() == std::vector<Index>{2});
  CHECK(sums.extreme(20).empty());
  CHECK(sums.extreme(1) == std::vector<Index>{1, 2});
  CHECK(ExpertActivations{}.extreme().empty());
  outputs[3] = INFINITY;
  check_error<NumericError>([&] { (void)part(0, 3); }, {"inf in row 1, column 1"});
  check_error<ShapeError>([&] { (void)expert_activations(View<double>(outputs.data(), {5, 2}), {}, 5); },
                          {"each of 5 slots", "got 0"});
  check_error<ShapeError>(
      [&] { sums += expert_activations(View<double>(outputs.data(), {1, 2}), {expert.data(), {1}}, 4); },
      {"width 5", "got 4"});
}
