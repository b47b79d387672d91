// The command lines of the papers' programs, without running them: limits, lists, names misspelt, options that exclude
// each other.

#include "../../examples/papers/options.hpp"

#include "../../examples/papers/language_model/settings.hpp"
#include "../../examples/papers/mutual_inform_vision/settings.hpp"
#include "../../examples/papers/neural_inhibition/inhibition_analysis/settings.hpp"
#include "../../examples/papers/neural_inhibition/mixed_numbers/settings.hpp"
#include "support.hpp"

using namespace testing;
using papers::Earlier;
using papers::Profile;

namespace {

using Arguments = std::vector<std::string>;

mixed_numbers::Settings mixed(const Arguments& arguments) {
  return mixed_numbers::read_settings(arguments);
}
mixed_numbers::Settings analysis(const Arguments& arguments) {
  return inhibition_analysis::read_settings(arguments);
}
language_model::Settings language(const Arguments& arguments) {
  return language_model::read_settings(arguments);
}
vision::Settings images(const Arguments& arguments) {
  return vision::read_settings(arguments);
}
/// What each program says to the same arguments.
void check_refused(const Arguments& arguments, const std::vector<std::string>& words) {
  check_error<ConfigError>([&] { (void)mixed(arguments); }, words);
  check_error<ConfigError>([&] { (void)analysis(arguments); }, words);
  check_error<ConfigError>([&] { (void)language(arguments); }, words);
}

}  // namespace

TEST_CASE("options come in any order, after = or as the next word") {
  const auto s =
      mixed({"--rows=moe,glu", "--epochs", "7", "--data=/d=1", "--resume", "--device=cuda:3", "--lr", "1e-3"});
  CHECK(s.rows == Arguments{"moe", "glu"});
  CHECK(s.epochs == 7);
  CHECK(s.data == "/d=1");
  CHECK(s.earlier == Earlier::resume);
  CHECK(s.cuda_device == 3);
  CHECK(s.learning_rate == 1e-3);
  CHECK(language({"--rows", "smoe-attention@all"}).rows == Arguments{"smoe-attention@all"});
}

TEST_CASE("what is given stays, whatever the profile, before and behind it") {
  for (const Arguments& arguments : {Arguments{"--quick", "--epochs", "9"}, Arguments{"--epochs=9", "--quick"}}) {
    const auto s = mixed(arguments);
    CHECK(s.epochs == 9);
    CHECK(s.samples == 16000);
    CHECK(s.seeds == 1);
  }
  CHECK(language({"--quick"}).sentences == 3000);
  CHECK(language({"--quick", "--sentences", "0"}).sentences == 0);
  CHECK(language({"--quick", "--steps", "5"}).first.steps == 5);
  CHECK(mixed({"--full"}).profile == Profile::full);
}

TEST_CASE("numbers have limits, and are digits to the last character") {
  for (const char* text : {"abc", "0", "-1", "10001", "3x", "1e3", "", " 3", "99999999999999999999", "0x10", "+3"})
    check_error<ConfigError>([&] { (void)mixed({"--epochs=" + std::string(text)}); }, {"--epochs: expected"});
  check_error<ConfigError>([] { (void)mixed({"--epochs", "abc"}); }, {"a whole number from 1 to 10,000, got \"abc\""});
  for (const char* text : {"nan", "inf", "0", "-1e-3", "1.5", "1e-400"}) check_refused({"--lr", text}, {"--lr"});
  check_error<ConfigError>([] { (void)language({"--dropout", "1"}); }, {"a number from 0 to 0.99, got \"1\""});
  check_error<ConfigError>([] { (void)language({"--tau", "0"}); }, {"--tau"});
  check_error<ConfigError>([] { (void)language({"--sigma", "-1"}); }, {"--sigma", "\"-1\""});
  check_refused({"--device", "cuda:x"}, {"--device", "0 to 255"});
  check_refused({"--device", "cuda:-1"}, {"--device"});
  check_refused({"--device", "gpu"}, {"cpu or cuda:N", "\"gpu\""});
}

TEST_CASE("a misspelt name is answered with the nearest one") {
  check_refused({"--row", "moe"}, {"did you mean --rows?", "--help"});
  check_refused({"--ot=x"}, {"did you mean --out?"});
  check_refused({"moe"}, {"expected options such as --rows, got \"moe\"; "});
  check_error<ConfigError>([] { (void)mixed({"--rows", "moe,globl"}); }, {"\"globl\"; did you mean global?"});
  check_error<ConfigError>([] { (void)mixed({"--recipe", "papr"}); },
                           {"paper, clean or research", "did you mean paper?"});
  check_error<ConfigError>([] { (void)language({"--rows", "smoe-similarty"}); }, {"did you mean smoe-similarity?"});
}

TEST_CASE("what cannot be meant is refused") {
  check_refused({"--quick", "--full"}, {"--quick or --full, got both"});
  check_refused({"--overwrite", "--resume"}, {"--resume or --overwrite, got both"});
  check_refused({"--out", "a", "--out", "b"}, {"--out", "twice"});
  check_refused({"--out"}, {"--out: expected a value"});
  check_refused({"--out="}, {"--out: expected a value"});
  check_refused({"--data", "--quick"}, {"--data: expected a value"});
  check_refused({"--quick=yes"}, {"--quick: expected no value"});
  check_refused({"--rows", "glu,glu"}, {"--rows", "glu twice"});
  check_refused({"--rows", "glu,"}, {"--rows", "\"\""});
  check_error<ConfigError>([] { (void)mixed({"--rows", "all,moe"}); }, {"moe twice"});
  check_error<ConfigError>([] { (void)mixed({"--samples", "401"}); }, {"--samples", "an even number", "got 401"});
  check_error<ConfigError>([] { (void)mixed({"--replicas", "2"}); }, {"--device cuda:0"});
  check_refused({"--precision", "bf16"}, {"--precision: expected a GPU", "--device cuda:0"});
  check_error<ConfigError>([] { (void)language({"--quick", "--size", "small"}); }, {"--quick or --size"});
  check_error<ConfigError>([] { (void)language({"--width", "16", "--heads", "3", "--rows", "moe"}); },
                           {"--heads", "divides the width 16", "got 3"});
  check_error<ConfigError>([] { (void)language({"--experts", "2", "--rows", "moe"}); },
                           {"--chosen", "at most", "got 3"});
  CHECK(language({"--experts", "2", "--rows", "smoe"}).second.experts == 2);
  check_error<ConfigError>([] { (void)language({"--rows", "glu@all"}); }, {"no mask to lift"});
  check_error<ConfigError>([] { (void)language({"--rows", "smoe@copy"}); }, {"@copy behind a row of the first paper"});
  check_error<ConfigError>([] { (void)language({"--rows", "moe@copy@copy"}); }, {"each once"});
  check_error<ConfigError>([] { (void)language({"--rows", "moe@coyp"}); },
                           {"@all, @large, @published, @copy, @loss", "one of a kind"});
  std::string arms = "smoe-similarity";
  for (int i = 0; i < 20000; ++i) arms += "@all";
  check_error<ConfigError>([&] { (void)language({"--rows", arms}); }, {"--rows"});
}

TEST_CASE("arms of the first paper's rows have their vocabulary and their task") {
  const auto s = language({"--rows", "moe,moe@large,moe@copy@large"});
  const auto network = [&](const char* name) { return s.network(language_model::find_row(name).task); };
  CHECK(network("moe").vocabulary == 8500);
  CHECK(network("moe@large").vocabulary == 15000);
  CHECK(network("moe@copy@large").vocabulary == 15000);
  CHECK(language_model::find_row("moe@copy@large").task == language_model::find_row("glu@large@copy").task);
  CHECK(language_model::find_row("moe@copy").task != language_model::find_row("moe").task);
  CHECK(language_model::find_row("moe@copy").title == "MoE 3/10 experts, copy task");
}

TEST_CASE("arms of the second paper's rows have their network, and what was printed of it") {
  const auto s = language({"--rows", "smoe"});
  const auto network = [&](const char* name) { return s.network(language_model::find_row(name).task); };
  CHECK(network("smoe").name() == "6 × 352, 8 heads, 2 of 16 experts");
  CHECK(network("smoe@large").name() == "12 × 512, 8 heads, 2 of 16 experts");
  CHECK(network("smoe-attention@one").name() == "6 × 352, 8 heads, 1 of 16 experts");
  CHECK(network("smoe@half").name() == "6 × 352, 8 heads, 8 of 16 experts");
  CHECK(network("smoe@twice@loss").name() == "6 × 352, 8 heads, 2 of 32 experts");
  CHECK(network("smoe@half@twice").chosen == 16);
  const auto half = language_model::find_row("smoe-similarity@loss@half");
  CHECK(half.published == "32.5 / 33.81");
  CHECK(half.attacked == "40.6 / 42.37");
  CHECK(half.title == "Similarity-inform SMoE, balance loss, M = K / 2");
  CHECK(half.task == language_model::find_row("smoe@half@loss").task);
  CHECK(language_model::find_row("glam@half").published == "–");
  CHECK(language_model::find_row("smoe-attention@root").published == "31.62 / 32.90");
  CHECK(language({"--rows", "table5@loss"}).rows ==
        Arguments{"smoe@large@loss", "smoe-similarity@large@loss", "smoe-attention@large@loss"});
  CHECK(language({"--rows", "smoe-attention,table3,table1"}).rows.size() == 15);
  CHECK(language({"--rows", "cross@loss"}).rows.size() == 72);
  const auto pair = language_model::find_row("global+xmoe-similarity@loss");
  CHECK(pair.title == "global + Similarity-inform X-MoE, balance loss");
  CHECK(pair.router == "xmoe");
  CHECK(pair.published == "–");
  check_error<ConfigError>([] { (void)language({"--rows", "smoe@one@half"}); }, {"one of a kind"});
  check_error<ConfigError>([] { (void)language({"--rows", "smoe@2"}); }, {"whose routing looks at other words"});
  check_error<ConfigError>([] { (void)language({"--rows", "glu@loss"}); }, {"a row of the second paper"});
  check_error<ConfigError>([] { (void)language({"--rows", "table8@0.1"}); }, {"whose routing looks at other words"});
}

TEST_CASE("arms of post-text inhibition have their choices, and their row without any") {
  using neuroinhib::Pooling;
  using neuroinhib::PosttextEvaluation;
  const auto row = language_model::find_row("global@late@mean@copy@off");
  CHECK(row.later.pooling == Pooling::mean);
  CHECK(row.later.evaluation == PosttextEvaluation::off);
  CHECK(row.later.late);
  CHECK(row.task == language_model::find_row("moe@copy").task);
  CHECK(row.without_choices() == "global@copy");
  CHECK(language_model::find_row("posttext+xmoe@rows").later.pooling == Pooling::row);
  CHECK(language_model::read_rows("choices", 1).size() == 15);
  check_error<ConfigError>([] { (void)language({"--rows", "glu@mean"}); }, {"@mean behind a row with post-text"});
  check_error<ConfigError>([] { (void)language({"--rows", "global@off@previous"}); }, {"one of a kind"});
  CHECK(language_model::find_row("smoe@bias").task != language_model::find_row("smoe@loss").task);
  CHECK(language_model::find_row("smoe@bias").published == "33.29 / 34.84");
  check_error<ConfigError>([] { (void)language({"--rows", "smoe@bias@loss"}); }, {"one of a kind"});
  CHECK(language({"--attack", "0,.1,0.4"}).attacks == std::vector<double>{0, .1, .4});
  check_error<ConfigError>([] { (void)language({"--attack", ".2,1.5"}); }, {"--attack", "1.5"});
}

TEST_CASE("the second paper's claims are a row's against its base in the same task") {
  const auto rows = [](std::initializer_list<const char*> names) {
    std::vector<language_model::Row> all;
    for (const char* name : names) all.push_back(language_model::find_row(name));
    return all;
  };
  const auto claims = claims_of({.paper = 2}, rows({"smoe", "smoe-attention", "smoe-attention@2", "glam", "glu+smoe",
                                                    "glu+smoe-similarity", "xmoe-similarity"}));
  REQUIRE(claims.size() == 2);
  CHECK(claims[0].other == "smoe");
  CHECK(*claims[0].published == doctest::Approx(std::log(32.23 / 34.84)));
  CHECK(*claims[0].attacked == doctest::Approx(std::log(40.91 / 43.59)));
  CHECK(claims[1].row == "smoe-attention@2");
  CHECK(*claims[1].published == doctest::Approx(std::log(32.85 / 34.84)));
  CHECK(!claims[1].attacked);
}

TEST_CASE("a key tells what a result depends on, and nothing else") {
  CHECK(mixed({}).key() != mixed({"--lr", "5.0000001e-5"}).key());
  CHECK(mixed({}).key() == mixed({"--seeds", "9", "--threads", "1", "--rows", "moe", "--device", "cuda:1"}).key());
  CHECK(mixed({"--recipe", "research"}).squares == "research");
  CHECK(mixed({}).key() != mixed({"--drawings", "5"}).key());
  CHECK(mixed({}).key() != mixed({"--device", "cuda:0", "--precision", "strict"}).key());
  const Arguments large{"--size", "medium", "--rows", "smoe@large"};  // --width changes its network alone
  CHECK(language(large).key() != language({"--size", "medium", "--rows", "smoe@large", "--width", "352"}).key());
  CHECK(mixed({}).key() == mixed({"--evaluation-batch", "5120"}).key());
  CHECK(mixed({"--recipe", "research"}).key() != mixed({"--recipe", "research", "--evaluation-batch", "5120"}).key());
  for (const char* option : {"--epoch-steps", "--evaluation-rows", "--steps", "--vocabulary", "--sentences"})
    CHECK(language({}).key() != language({option, "7"}).key());
}

TEST_CASE("help names every option with its limits") {
  try {
    (void)mixed({"--epochs", "2", "--help"});
    FAIL("no help");
  } catch (const papers::HelpWanted& help) {
    CHECK(help.text.find("passes over the training images (1 to 10,000, default 35)") != std::string::npos);
    CHECK(help.text.find("--overwrite") != std::string::npos);
  }
}

TEST_CASE("the analysis of inhibition trains the rows that have gates, on two seeds in its small profile") {
  CHECK(analysis({}).rows == Arguments{"glu", "pretext", "posttext", "global"});
  CHECK(analysis({}).seeds == 5);
  CHECK(analysis({"--quick"}).seeds == 2);
  CHECK(analysis({"--quick"}).epochs == mixed({"--quick"}).epochs);
  CHECK(analysis({"--quick", "--seeds", "4"}).seeds == 4);
  CHECK(analysis({"--rows", "global,glu"}).rows == Arguments{"global", "glu"});
  check_error<ConfigError>([&] { (void)analysis({"--rows", "moe"}); }, {"glu, pretext, posttext or global"});
  check_error<ConfigError>([&] { (void)analysis({"--samples", "3"}); }, {"an even number"});
}

TEST_CASE("a vision network has experts in the last two odd blocks, or where one says, and a patch for the images") {
  CHECK(images({}).network.experts_in == std::vector<neuroinhib::Index>{5, 7});
  CHECK(images({"--quick"}).network.experts_in == std::vector<neuroinhib::Index>{1, 3});
  CHECK(images({"--blocks", "2"}).network.experts_in == std::vector<neuroinhib::Index>{1});
  CHECK(images({"--experts-in", "none"}).network.experts_in.empty());
  CHECK(images({"--experts-in", "4,0"}).network.experts_in == std::vector<neuroinhib::Index>{0, 4});
  check_error<ConfigError>([] { (void)images({"--experts-in", "8"}); }, {"--experts-in", "from 0 to 7", "\"8\""});
  check_error<ConfigError>([] { (void)images({"--experts-in", "1,1"}); }, {"each block once", "1 twice"});
  for (const Arguments& arguments : {Arguments{"--quick", "--steps", "9"}, Arguments{"--steps=9", "--quick"}}) {
    CHECK(images(arguments).network.steps == 9);
    CHECK(images(arguments).network.width == 64);
    CHECK(images(arguments).seeds == 1);
  }
  CHECK(images({}).patch_for(28, 28) == 4);
  CHECK(images({}).patch_for(224, 224) == 32);
  CHECK(images({"--quick"}).patch_for(32, 32) == 8);
  CHECK(images({"--patch", "2"}).patch_for(32, 30) == 2);
  check_error<ConfigError>([] { (void)images({"--patch", "5"}).patch_for(28, 28); },
                           {"divides 28 × 28 pixels", "got 5"});
  check_error<ConfigError>([] { (void)images({"--chosen", "9"}); }, {"at most the number of experts, 8"});
  check_error<ConfigError>([] { (void)images({"--precision", "bf16"}); }, {"--precision", "a GPU"});
  check_error<ConfigError>([] { (void)images({"--epsilon", "1.5"}); }, {"--epsilon", "from 0 to 1"});
}
