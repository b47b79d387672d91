// Verdicts on made-up results; intervals and counts of seeds are worked out by hand in the remarks.

#include "../../examples/papers/verdicts.hpp"

#include "support.hpp"

using namespace papers;

namespace {

Claim claim(double published) {
  return {"row − other", published < 0 ? -1.0 : 1.0, published};
}
/// Mean 2, deviation √.00625 = .0791, half 2.776 · .0791 / √5 = .0981.
const std::vector<double> kNearTwo{2, 2.1, 1.9, 2.05, 1.95};
/// Mean 0, deviation √(.52 / 4) = .3606, half 2.776 · .3606 / √5 = .4476.
const std::vector<double> kNearZero{-.5, .5, 0, .1, -.1};

}  // namespace

TEST_CASE("the interval of a paired mean is Student's") {
  const Comparison two = compare(claim(2), kNearTwo);
  CHECK(two.mean == doctest::Approx(2));
  CHECK(two.half == doctest::Approx(.0981).epsilon(.001));
  CHECK(two.seeds == 5);
  CHECK(compare(claim(2), kNearZero).half == doctest::Approx(.4476).epsilon(.001));
}

TEST_CASE("a claim holds, holds smaller, is excluded or is not decided") {
  CHECK(judge(compare(claim(2), kNearTwo)) == Verdict::holds);
  CHECK(judge(compare(claim(2.09), kNearTwo)) == Verdict::holds);     // 2.09 < 2.0981
  CHECK(judge(compare(claim(2.11), kNearTwo)) == Verdict::smaller);   // 2.11 > 2.0981
  CHECK(judge(compare(claim(.1), kNearTwo)) == Verdict::holds);       // ours is larger
  CHECK(judge(compare(claim(-2), kNearTwo)) == Verdict::excluded);    // the other way round
  CHECK(judge(compare(claim(.4), kNearZero)) == Verdict::undecided);  // holds both 0 and .4
  CHECK(judge(compare(claim(-.4), kNearZero)) == Verdict::undecided);
  CHECK(judge(compare(claim(.5), kNearZero)) == Verdict::excluded);
  CHECK(judge(compare(claim(-.5), kNearZero)) == Verdict::excluded);
  // The same numbers with their signs turned give the same verdicts.
  std::vector<double> turned = kNearTwo;
  for (double& value : turned) value = -value;
  CHECK(judge(compare(claim(-2), turned)) == Verdict::holds);
  CHECK(judge(compare(claim(-2.11), turned)) == Verdict::smaller);
  CHECK(judge(compare(claim(2), turned)) == Verdict::excluded);
}

TEST_CASE("where only the direction is published, only that is judged") {
  const auto only = [](double direction) { return Claim{"row − other", direction, std::nullopt}; };
  CHECK(judge(compare(only(1), kNearTwo)) == Verdict::holds);
  CHECK(judge(compare(only(-1), kNearTwo)) == Verdict::excluded);
  CHECK(judge(compare(only(1), kNearZero)) == Verdict::undecided);
  CHECK_FALSE(seeds_needed(compare(only(1), kNearTwo)));
}

TEST_CASE("nothing is decided by one seed, by none, or by differences that are all equal") {
  CHECK(judge(compare(claim(2), {2.5, 2.5})) == Verdict::undecided);
  CHECK(judge(compare(claim(2), {2})) == Verdict::undecided);
  CHECK(judge(compare(claim(2), {})) == Verdict::undecided);
  CHECK_FALSE(seeds_needed(compare(claim(2), {2})));
}

TEST_CASE("published deviations give Welch's interval") {
  // Table 1, MoE − baseline: variances of the means 31.36 / 5 + 2.89 / 5 = 6.85; 6.85² / (6.272² / 4 + .578² / 4) = 4.7
  // degrees of freedom, taken as 4; 2.776 · √6.85 = 7.266.
  const Claim moe = claim_of("MoE − baseline", {92.3, 5.6, 5}, {81.4, 1.7, 5});
  CHECK(*moe.published == doctest::Approx(10.9));
  CHECK(*moe.published_half == doctest::Approx(7.266).epsilon(.001));
  CHECK(moe.direction == 1);
  CHECK(claim_of("turned", {81.4, 1.7, 5}, {92.3, 5.6, 5}).direction == -1);
}

TEST_CASE("so many seeds that the interval cannot hold both zero and the published difference") {
  // 2 · 2.571 / √6 = 2.10, 2 · 2.447 / √7 = 1.85.
  CHECK(seeds_needed(2, 1) == 7);
  CHECK(seeds_needed(-2, 1) == 7);
  // 2 · 12.706 · .01 / √2 = .18 < 2: two seeds are the fewest that have an interval.
  CHECK(seeds_needed(2, .01) == 2);
  CHECK_FALSE(seeds_needed(.001, 1));
  // The deviation is taken back from the interval: s = .0791, 2 · 4.303 · .0791 / √3 = .39, 2 · 12.706 · .0791 / √2
  // = 1.42.
  CHECK(seeds_needed(compare(claim(1.5), kNearTwo)) == 2);
  CHECK(seeds_needed(compare(claim(1.4), kNearTwo)) == 3);
}

TEST_CASE("what is kept is read again, and judged anew") {
  nlohmann::json kept = to_json(compare(claim_of("a − b", {3, 1, 5}, {1, 1, 5}), kNearTwo));
  CHECK(kept.at("verdict") == "holds");
  CHECK(to_json(comparison_of(kept)) == kept);
  kept["verdict"] = "excluded";
  CHECK(judge(comparison_of(kept)) == Verdict::holds);
  const nlohmann::json single = to_json(compare(claim(2), {2}));
  CHECK(single.at("half").is_null());
  CHECK(to_json(comparison_of(single)) == single);
}

TEST_CASE("a line a claim, with what was run") {
  const auto verdicts = verdicts_json({"table 1", "none", "program --seeds 5", "points", 2},
                                      {compare(claim_of("a − b", {92.3, 5.6, 5}, {81.4, 1.7, 5}), kNearTwo),
                                       compare({"c − b", -1, std::nullopt}, kNearZero), compare(claim(-2), {1})});
  CHECK(verdict_tables(verdicts) ==
        "**table 1**, points. Scale: none. Command: `program --seeds 5`.\n\n"
        "| Claim | published | ours | seeds | seeds needed | verdict |\n"
        "|---|---:|---:|---:|---:|---|\n"
        "| a − b | +10.9 ± 7.3 | +2.00 ± 0.10 | 5 | 2 | holds, smaller |\n"
        "| c − b | less | +0.00 ± 0.45 | 5 | – | not decided |\n"
        "| row − other | −2.0 | +1.00 | 1 | – | not decided |\n");
  auto others = verdicts_json({"table 2", "half", "program", "nats", 4}, {compare(claim(-.5), kNearTwo)});
  others.insert(others.begin(), verdicts.begin(), verdicts.end());
  CHECK(verdict_tables(others) == verdict_tables(verdicts) +
                                      "\n**table 2**, nats. Scale: half. Command: `program`.\n\n"
                                      "| Claim | published | ours | seeds | seeds needed | verdict |\n"
                                      "|---|---:|---:|---:|---:|---|\n"
                                      "| row − other | −0.500 | +2.0000 ± 0.0981 | 5 | 3 | excluded |\n");
}
