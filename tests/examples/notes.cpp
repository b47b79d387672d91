// What the papers' runs leave in checkpoints and results.json: numbers that JSON lacks come back, what is malformed is
// told in a sentence and changes nothing.

#include "../../examples/papers/notes.hpp"

#include "../../examples/papers/neural_inhibition/mixed_numbers/run_log.hpp"
#include "../../examples/papers/results.hpp"
#include "support.hpp"

using namespace testing;
using nlohmann::json;
using papers::Earlier;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();

/// The same numbers, NaN being the same as NaN.
bool same(const std::vector<double>& a, const std::vector<double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

/// What save() says, but for the clock.
json saved(const auto& log) {
  json notes = json::parse(log.save());
  notes.erase("seconds");
  return notes;
}

/// Gives `load` the notes of a log with one entry after another changed or left out, each of which must be refused with
/// the checkpoint's and the entry's name, and leave the log as it was.
void check_refused(const auto& log, auto& target, const std::vector<std::pair<std::string, std::string>>& changes) {
  const json before = saved(target);
  const auto refused = [&](const std::string& notes, const std::string& name) {
    INFO(name, " in ", notes);
    check_error<FormatError>([&] { target.load({"run.safetensors", notes}); },
                             {"checkpoint run.safetensors, " + name, "delete it to train this run anew"});
    CHECK(saved(target) == before);
  };
  for (const char* text : {"", "no JSON", "[1, 2]", "null", "{\"step\": 1", "\xff"}) refused(text, "notes");
  for (const auto& [name, value] : changes) {
    json notes = json::parse(log.save());
    notes[name] = json::parse(value);
    refused(notes.dump(), name);
    notes.erase(name);
    refused(notes.dump(), name);
  }
}

mixed_numbers::RunLog mixed_log(const mixed_numbers::Settings& settings) {
  return {settings, "moe", 0, "digits"};
}

/// Of two layers on three words.
const papers::ChosenExperts kChosen(2, {1, 3, std::uint64_t{1} << 63});

papers::RunLog log_of_steps() {
  return {"moe", 0, "settings, data text", {.steps = 7, .epoch = 3, .batch = 4, .layers = 2, .tokens = 3}};
}
void end_epoch(papers::RunLog& log, double nats) {
  log.end_epoch(kChosen, nats, "");
}
/// Steps on so many numbers, after which the sum of the losses is that.
papers::Steps steps(Index count, double loss_sum, Index numbers = 4) {
  return {.count = count, .numbers = numbers, .all = 100, .seconds = 1, .loss_sum = loss_sum};
}

}  // namespace

TEST_CASE("numbers that JSON lacks are kept as text, whatever they are in") {
  const json kept = json::parse(
      papers::storable({{"a", kNan}, {"b", {1.5, kInfinity, {{"c", -kInfinity}}}}, {"d", "nan"}, {"e", 3}}).dump());
  CHECK(std::isnan(papers::number_in(kept["a"])));
  CHECK(papers::number_in(kept["b"][0]) == 1.5);
  CHECK(papers::number_in(kept["b"][1]) == kInfinity);
  CHECK(papers::number_in(kept["b"][2]["c"]) == -kInfinity);
  CHECK(kept["d"] == "nan");
  CHECK(kept["e"] == 3);
  CHECK_THROWS_AS((void)papers::number_in("1.5"), json::type_error);
  CHECK_THROWS_AS((void)papers::number_in(nullptr), json::type_error);
}

TEST_CASE("a run of mixed numbers goes on with the losses it had, NaN and infinity among them") {
  const mixed_numbers::Settings settings{{}, "paper", "recipe", 35, 200};
  auto log = mixed_log(settings), resumed = mixed_log(settings);
  log.advance(steps(4, kInfinity, 100));
  log.end_epoch({kNan, 0.5, -kInfinity});
  log.advance(steps(2, kNan, 50));
  resumed.load({"run.safetensors", log.save()});
  CHECK(saved(resumed) == saved(log));
  CHECK(resumed.epochs() == 1);
  CHECK(resumed.taken() == 50);
  CHECK(std::isnan(resumed.loss_sum()));
  const json result = resumed.result({}, 200);
  CHECK(same(result["loss_curve"], {kInfinity}));
  CHECK(same(result["validation_curve"], {kNan}));
  CHECK(same(result["squares_curve"], {-kInfinity}));
}

TEST_CASE("a run of mixed numbers goes on within an epoch whose only batch of fresh draws is larger than its data") {
  mixed_numbers::Settings settings;
  settings.recipe = "research";
  settings.samples = 40;
  mixed_numbers::RunLog log = mixed_log(settings), taken = mixed_log(settings);
  log.advance(steps(1, 2.5, settings.batch));
  taken.load({"run.safetensors", log.save()});
  CHECK(saved(taken) == saved(log));
  CHECK(taken.taken() == settings.batch);
}

TEST_CASE("malformed notes of a run of mixed numbers are told, and change nothing") {
  const mixed_numbers::Settings settings{{}, "paper", "recipe", 35, 200};
  auto log = mixed_log(settings), target = mixed_log(settings);
  log.advance(steps(4, 2.5, 100));
  log.end_epoch({0.5, 0.6, 0.4});
  log.advance(steps(2, 1.5, 50));
  target.advance(steps(1, 3.5, 25));
  check_refused(log, target,
                {{"epoch", "\"one\""},
                 {"epoch", "1.5"},
                 {"epoch", "-1"},
                 {"epoch", "36"},
                 {"epoch", "true"},
                 {"images", "201"},
                 {"images", "18446744073709551615"},
                 {"steps", "0"},
                 {"steps", "51"},
                 {"loss_sum", "null"},
                 {"loss_sum", "\"1.5\""},
                 {"seconds", "[]"},
                 {"validation", "0.5"},
                 {"digits", "[0.5, 0.5]"},
                 {"squares", "[null]"},
                 {"of_squares", "[0.5]"},
                 {"loss", "[[1]]"},
                 {"loss", "{\"a\": 1}"}});
}

TEST_CASE("a run of so many steps goes on with the losses it had, NaN and infinity among them") {
  auto log = log_of_steps(), resumed = log_of_steps();
  log.start(kChosen);
  log.advance(steps(3, kInfinity));
  end_epoch(log, kNan);
  log.advance(steps(2, kNan));
  resumed.load({"run.safetensors", log.save()});
  CHECK(saved(resumed) == saved(log));
  CHECK(resumed.step() == 5);
  CHECK(resumed.step_of_epoch() == 2);
  CHECK(std::isnan(resumed.loss_sum()));
  CHECK(same(resumed.loss(), {kInfinity}));
  CHECK(same(resumed.validation(), {kNan}));
  resumed.advance(steps(1, 3.0));
  end_epoch(resumed, 1);
  CHECK(resumed.fluctuation() == std::vector<double>{0, 0});
  CHECK(resumed.loss().back() == 1.0);
}

TEST_CASE("a run of so many steps that ended in its first evaluation begins anew") {
  auto resumed = log_of_steps();
  resumed.load({"run.safetensors", log_of_steps().save()});
  CHECK(resumed.step() == 0);
  resumed.start(kChosen);
  resumed.advance(steps(3, 6));
  end_epoch(resumed, 5);
  CHECK(resumed.fluctuation() == std::vector<double>{0, 0});
}

TEST_CASE("malformed notes of a run of so many steps are told, and change nothing") {
  auto log = log_of_steps(), target = log_of_steps();
  log.start(kChosen);
  log.advance(steps(3, 6));
  end_epoch(log, 5);
  log.advance(steps(2, 4));
  target.advance(steps(1, 2));
  check_refused(log, target,
                {{"step", "\"5\""},
                 {"step", "2"},
                 {"step", "7"},
                 {"step", "5.0"},
                 {"loss_sum", "false"},
                 {"seconds", "\"long\""},
                 {"validation", "[1, 2, 3, 4]"},
                 {"loss", "[]"},
                 {"fluctuation", "[0.5]"},
                 {"chosen", "[[1, 2, 3]]"},
                 {"chosen", "[[1, 2, 3], [1, 2]]"},
                 {"chosen", "[[1, 2, 3], [1, 2, -3]]"},
                 {"chosen", "[[1, 2, 3], 4]"}});
}

TEST_CASE("results of a run that diverged are taken up again, and damaged ones are told") {
  const TemporaryFolder folder;
  papers::Call call;
  call.out = folder.path;
  call.earlier = Earlier::resume;
  const json settings{{"key", "k"}};
  const auto results = [&](const papers::OutputFolder& out) {
    return papers::Results(out, call, "experiment", settings, "machine");
  };
  {
    const papers::OutputFolder out(call);
    results(out).add({{"row", "moe"}, {"seed", 0}, {"test", kNan}, {"curve", {kInfinity, 1.0}}},
                     [](const json&, const json&) { return false; });
    const auto again = results(out);
    REQUIRE(again.runs().size() == 1);
    CHECK(std::isnan(papers::number_in(again.runs()[0]["test"])));
    CHECK(papers::numbers_in(again.runs()[0]["curve"]) == std::vector<double>{kInfinity, 1.0});
  }
  const std::string head = R"({"experiment": "experiment", "settings": {"key": "k"}, "runs": )";
  for (const std::string& text :
       {std::string("{"), head + "{}}", head + R"([{"row": 1, "seed": 0, "machine": "m"}]})",
        head + R"([{"row": "moe", "seed": "0", "machine": "m"}]})", head + R"([{"row": "moe", "seed": 0}]})"}) {
    const papers::OutputFolder out(call);
    io::write_file(out.file("results.json"), text);
    check_error<FormatError>([&] { (void)results(out); }, {"results.json", "--overwrite"});
    CHECK(io::read_file(out.file("results.json")) == text);
  }
  const papers::OutputFolder out(call);
  io::write_file(out.file("results.json"), R"({"experiment": "another", "settings": {"key": "k"}, "runs": []})");
  check_error<ConfigError>([&] { (void)results(out); }, {"expected experiment, k", "got another, k", "--overwrite"});
}
