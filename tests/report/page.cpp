// The page of results: what it is given stays data, and everything in it is there.

#include "page.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include <neuroinhib/io/telemetry_file.hpp>

#include "../../examples/papers/verdicts.hpp"
#include "markdown.hpp"
#include "results.hpp"
#include "support.hpp"
#include "telemetry_section.hpp"

using namespace neuroinhib;
using nlohmann::json;

namespace {

/// An experiment's output folder.
class ResultsFolder {
 public:
  explicit ResultsFolder(const std::string& results, const std::string& table = "") {
    io::write_file(folder_ / "results.json", results);
    if (!table.empty()) io::write_file(folder_ / "table.md", table);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return folder_.path; }

 private:
  testing::TemporaryFolder folder_;
};

json run(const std::string& row, int seed, double test) {
  return {{"row", row}, {"seed", seed}, {"machine", "cpu"}, {"test", test}, {"loss_curve", {2.0, 1.0 + seed}}};
}
json results(const json& runs) {
  return {{"experiment", "mixed_numbers"}, {"settings", {{"key", "k"}, {"epochs", 2}}}, {"runs", runs}};
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// What the page's script reads.
json data_of(const std::string& page) {
  const std::string begin = R"(<script id="data" type="application/json">)";
  const auto first = page.find(begin) + begin.size();
  return json::parse(page.substr(first, page.find("</script>", first) - first));
}

const std::string kHostile = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)> \"' & \xE2\x80\xA8";

}  // namespace

TEST_CASE("report: the blocks of a text") {
  const json blocks = report::blocks_of(
      "## Title\nText\nof two lines\n\nmore\n\n| a | b |\n|---|--:|\n| 1 | 2 ± 3 |\n| x |  |\n\n- one\n- two\n\n- "
      "three\n");
  CHECK(blocks == json::parse(R"([{"heading": "Title"}, {"text": "Text\nof two lines"}, {"text": "more"},
                                  {"table": {"columns": ["a", "b"], "rows": [["1", "2 ± 3"], ["x"]]}},
                                  {"list": ["one", "two"]}, {"list": ["three"]}])"));
  CHECK(report::blocks_of("") == json::array());
  CHECK(report::blocks_of("#\n|\n-\n") == json::parse(R"([{"text": "#\n-"}])"));
}

TEST_CASE("report: charts have the runs' means and deviations") {
  const ResultsFolder folder(results({run("moe", 0, .5), run("moe", 1, .7), run("glu", 0, .9)}).dump());
  const json section = report::results_section(folder.path());
  const json& charts = section.at("charts");
  REQUIRE(charts.size() == 2);
  for (const json& chart : charts)
    for (const json& series : chart.at("series")) {
      CHECK_FALSE(series.at("x").empty());
      CHECK(series.at("x").size() == series.at("y").size());
    }
  CHECK(charts[0].at("x").at("labels") == json{"moe", "glu"});
  CHECK(charts[0].at("series")[0].at("y")[0].get<double>() == doctest::Approx(.6));
  CHECK(charts[0].at("series")[0].at("high")[0].get<double>() == doctest::Approx(.6 + .1 * std::sqrt(2.0)));
  CHECK(charts[0].at("series")[1].at("y") == json{.5, .7, .9});
  const json& moe = charts[1].at("series")[0];
  CHECK(moe.at("x") == json{1.0, 2.0});
  CHECK(moe.at("y") == json{2.0, 1.5});
  CHECK(moe.at("low")[1].get<double>() == doctest::Approx(1.5 - std::sqrt(.5)));
}

TEST_CASE("report: curves say what they are and in which unit") {
  for (const auto& [experiment, title] : {std::pair{"all_to_all", "By epoch: training loss, nats an image"},
                                          {"cross_product", "By epoch: training loss, nats a word"},
                                          {"mutual_inform_lm", "By epoch: training loss, nats a word"},
                                          {"posttext_choices", "By epoch: training loss, nats a word"}}) {
    json all = results(json::array({run("moe", 0, .5)}));
    all["experiment"] = experiment;
    const ResultsFolder folder(all.dump());
    CHECK(report::results_section(folder.path()).at("charts")[1].at("title") == title);
  }
}

TEST_CASE("report: numbers that JSON lacks are gaps") {
  json one = run("moe", 0, .5);
  one["loss_curve"] = {"nan", "inf", 1.0};
  const ResultsFolder folder(results(json::array({one})).dump());
  const json page = data_of(report::page_of("t", json::array({report::results_section(folder.path())})));
  CHECK(page.at("sections")[0].at("charts")[1].at("series")[0].at("y") == json{nullptr, nullptr, 1.0});
}

TEST_CASE("report: verdicts and figures of results are shown") {
  json all = results(json::array({run("moe", 0, .5)}));
  const papers::Circumstances circumstances{.of = "table 1", .scale = "small", .command = "c", .unit = "points"};
  all["verdicts"] = papers::verdicts_json(
      circumstances, {papers::compare({.text = "MoE − baseline", .published = 2., .published_half = 1.}, {1.5, 2, 2.5}),
                      papers::compare({.text = kHostile, .direction = -1, .published = {}}, {1})});
  all["figures"] = {{{"kind", "lines"},
                     {"title", "figure 1"},
                     {"x", {{"title", "threshold"}}},
                     {"y", {{"title", "neurons"}}},
                     {"series", {{{"name", "s"}, {"x", {0, 1}}, {"y", {3, 4}}}}}}};
  all["figures"].push_back({{"kind", "heat"},
                            {"title", "masks"},
                            {"x", {{"title", "sample"}}},
                            {"y", {{"title", "neuron"}}},
                            {"values", {{0, "nan"}, {.5, 1}, {1, 0}}}});
  const ResultsFolder folder(all.dump());
  const json section = report::results_section(folder.path());
  CHECK(section.at("charts")[2].at("levels") == "AP9//v4A");  // 0, 255, 127, 254, 254, 0
  const json& table = section.at("verdicts")[1].at("table");
  CHECK(table.at("columns")[0] == "Claim");
  CHECK(table.at("rows")[0][0] == "MoE − baseline");
  CHECK(table.at("rows")[0][5] == "holds");
  const json& differences = section.at("charts")[0];
  CHECK(differences.at("x").at("labels") == json{"MoE − baseline", kHostile});
  CHECK(differences.at("series")[0].at("y") == json{2., 1.});
  CHECK(differences.at("series")[1].at("low") == json{1.});
  CHECK(section.at("charts")[1].at("title") == "figure 1");
}

TEST_CASE("report: verdicts that a table has already are not repeated") {
  json all = results(json::array());
  all["verdicts"] = papers::verdicts_json({.of = "table 1", .scale = "small", .command = "c", .unit = "points"},
                                          {papers::compare({.text = "more", .published = 2.}, {2, 2, 2})});
  const ResultsFolder folder(all.dump(), "before\n\n" + papers::verdict_tables(all["verdicts"]) + "\nafter\n");
  const json section = report::results_section(folder.path());
  CHECK(section.at("verdicts").empty());
  CHECK(section.at("blocks").size() == 4);
  CHECK(section.at("charts").size() == 1);
}

TEST_CASE("report: a file of verdicts alone is shown") {
  const ResultsFolder folder(R"({"experiment": "e", "verdicts": [], "provenance": "p"})");
  const json section = report::results_section(folder.path() / "results.json");
  CHECK(section.at("charts").empty());
  CHECK(section.at("name") == "results.json");
}

TEST_CASE("report: figures of another form are refused") {
  const json figure{
      {"kind", "lines"}, {"title", "t"}, {"x", {{"title", "x"}}}, {"y", {{"title", "y"}}}, {"series", json::array()}};
  const auto refused = [&](const char* member, const json& value, const char* words) {
    json all = results(json::array()), wrong = figure;
    wrong[member] = value;
    all["figures"] = {wrong, wrong};
    const ResultsFolder folder(all.dump());
    CAPTURE(member);
    CHECK_THROWS_WITH_AS((void)report::results_section(folder.path()), doctest::Contains(words), FormatError);
  };
  refused("kind", "pie", "lines, ranges, bars, area");
  refused("kind", 1, "results of an experiment");
  refused("x", "steps", "results of an experiment");
  refused("series", {{{"name", "s"}, {"x", {1, 2}}, {"y", {1}}}}, "as many numbers in y as in x");
  refused("series", {{{"name", "s"}, {"x", {1}}, {"y", {1}}, {"low", {0}}}}, "low and high");
  json picture = figure;
  picture["kind"] = "heat";
  for (const auto& [values, words] : {std::pair{json{{1, 2}, {1}}, "as many numbers in each column"},
                                      {json::array(), "columns of numbers"},
                                      {json("none"), "results of an experiment"}}) {
    json all = results(json::array());
    picture["values"] = values;
    all["figures"] = json::array({picture});
    const ResultsFolder folder(all.dump());
    CHECK_THROWS_WITH_AS((void)report::results_section(folder.path()), doctest::Contains(words), FormatError);
  }
  refused("series", {{{"name", "s"}, {"x", {"one"}}, {"y", {1}}}}, "results of an experiment");
}

TEST_CASE("report: text from data cannot leave its place") {
  json one = run(kHostile, 0, .5);
  one["layers"] = {{{"load", {.5, .5}}}};
  json all = results(json::array({one}));
  all["settings"]["key"] = kHostile;
  const ResultsFolder folder(all.dump(),
                             std::string("| ") + kHostile + " |\n|---|\n| " + kHostile + " |\n\n" + kHostile);
  const std::string plain = report::page_of("t", json::array());
  const std::string page = report::page_of(kHostile, json::array({report::results_section(folder.path())}));
  for (const char* mark : {"<script", "</script", "<!--", "<img"}) CHECK(count(page, mark) == count(plain, mark));
  CHECK(data_of(page).at("title") == kHostile);
}

TEST_CASE("report: bytes that are no text do not break a page") {
  const std::string page = report::page_of("t", json::array({{{"name", "\xFF\xFE"}}}));
  CHECK(data_of(page).at("sections")[0].at("name") == "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_CASE("report: what is no result is refused") {
  for (const char* content : {"", "[]", "{\"runs\": 3}", "{\"experiment\": \"e\", \"settings\": {}, \"runs\": [{}]}",
                              "{\"experiment\": 1, \"settings\": {}, \"runs\": []}"}) {
    const ResultsFolder folder(content);
    CAPTURE(content);
    CHECK_THROWS_WITH_AS((void)report::results_section(folder.path()),
                         doctest::Contains("the results of an experiment"), FormatError);
  }
  CHECK_THROWS_AS((void)report::results_section("/nowhere"), IoError);
}

TEST_CASE("report: a page asks for nothing but itself") {
  const std::string page = report::page_of("t", json::array());
  for (const char* mark : {"<link", " src=", "@import", "url(", "fetch(", "XMLHttpRequest"}) {
    CAPTURE(mark);
    CHECK(count(page, mark) == 0);
  }
}

TEST_CASE("report: telemetry's charts and views have what the file has") {
  const testing::TemporaryFolder folder;
  {
    io::TelemetryWriter writer(folder / "t", {.every = 1}, {{kHostile, kHostile}});
    for (std::uint64_t step = 0; step < 5; ++step)
      writer.step(step, [&] {
        writer.measure(kHostile, static_cast<double>(step));
        writer.words(std::vector<int>{0, 1, 2}, [](int) { return kHostile; });
        for (int layer = 0; layer < 2; ++layer)
          writer.record(io::detail::TelemetryKind::layer, [&](io::detail::TelemetryBytes& bytes) {
            bytes.put_text("block");
            bytes.put(std::uint32_t{1});
            for (const Index extent : {9, 3, 2, 1, 4, 0}) bytes.put_count(extent);
            bytes.put(9.);
            bytes.put(.5);
            bytes.put_floats(std::vector<float>{6, 3, .1f, .2f, .3f, .4f});
            bytes.put_levels(std::vector<float>{0, 1, .5f, .5f, 0, 0, 0, 1, 1, 1, 1, 1});
            bytes.put_floats(std::vector<float>{1, 2, 3, 4, 5, 6});
            for (const int expert : {0, 1, 0}) bytes.put(expert);
            bytes.put_floats(std::vector<float>{1, 1, 1});
          });
      });
  }
  const json section = report::telemetry_section(folder / "t", 2);
  const json& charts = section.at("charts");
  REQUIRE(charts.size() == 7);  // the measure, entropy, effective experts, and of each layer load and gate means
  for (const json& chart : charts) CHECK((chart.contains("levels") || !chart.at("series").at(0).at("y").empty()));
  CHECK(charts[2].at("series")[1].at("name") == "block 2");
  CHECK(charts[3].at("series")[0].at("y")[0].get<double>() == doctest::Approx(6. / 9));
  CHECK(charts[4].at("columns") == 5);
  CHECK(charts[4].at("rows") == 4);
  REQUIRE(section.at("steps").size() == 2);
  CHECK(section.at("steps")[1].at("number") == 4);
  const json& view = section.at("steps")[0].at("layers")[1];
  CHECK(view.at("expert") == "AAAAAAEAAAAAAAAA");  // 0, 1, 0 as numbers of four bytes
  CHECK(view.at("scores") == "AACAPwAAAEAAAEBAAACAQAAAoEAAAMBA");
  CHECK(view.at("mask").at("levels") == "AP5/fwAAAP7+/v7+");  // 0, 254, 127, 127, 0, …
  const std::string page = report::page_of("t", json::array({section})), plain = report::page_of("t", json::array());
  for (const char* mark : {"<script", "</script", "<!--", "<img"}) CHECK(count(page, mark) == count(plain, mark));
}

TEST_CASE("report: a file of telemetry that was cut off says so") {
  const testing::TemporaryFolder folder;
  {
    io::TelemetryWriter writer(folder / "t", {.every = 1});
    for (std::uint64_t step = 0; step < 2; ++step) writer.step(step, [&] { writer.measure("loss", 1); });
  }
  io::write_file(folder / "cut", io::read_file(folder / "t").substr(0, 120));
  const json section = report::telemetry_section(folder / "cut", 1);
  CHECK(section.at("facts").back()[0] == "cut off");
  CHECK(section.at("steps").empty());
  CHECK(section.at("charts")[0].at("series")[0].at("y") == json{1.});
}
