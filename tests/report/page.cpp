// The page of results: what it is given stays data, and everything in it is there.

#include "page.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include <neuroinhib/io/file.hpp>

#include "markdown.hpp"
#include "results.hpp"
#include "support.hpp"

using namespace neuroinhib;
using nlohmann::json;

namespace {

/// An experiment's output folder that lasts as long as this.
class ResultsFolder {
 public:
  explicit ResultsFolder(const std::string& results, const std::string& table = "") {
    std::filesystem::create_directories(path_);
    io::write_file(path_ / "results.json", results);
    if (!table.empty()) io::write_file(path_ / "table.md", table);
  }
  ResultsFolder(const ResultsFolder&) = delete;
  ResultsFolder& operator=(const ResultsFolder&) = delete;
  ~ResultsFolder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("neuroinhib_report_" + std::to_string(getpid()));
};

json run(const char* row, int seed, double test) {
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

constexpr const char* kHostile =
    "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)> \"' & \xE2\x80\xA8";

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

TEST_CASE("report: numbers that JSON lacks are gaps") {
  json one = run("moe", 0, .5);
  one["loss_curve"] = {"nan", "inf", 1.0};
  const ResultsFolder folder(results(json::array({one})).dump());
  const json page = data_of(report::page_of("t", json::array({report::results_section(folder.path())})));
  CHECK(page.at("sections")[0].at("charts")[1].at("series")[0].at("y") == json{nullptr, nullptr, 1.0});
}

TEST_CASE("report: verdicts and figures of results are shown") {
  json all = results(json::array({run("moe", 0, .5)}));
  all["verdicts"] = {{{"verdict", "holds"}, {"claim", "more is more"}, {"seeds", 5}},
                     {{"claim", "less"}, {"note", "n"}}};
  all["figures"] = {{{"kind", "lines"},
                     {"title", "figure 1"},
                     {"x", {{"title", "threshold"}}},
                     {"y", {{"title", "neurons"}}},
                     {"series", {{{"name", "s"}, {"x", {0, 1}}, {"y", {3, 4}}}}}}};
  const ResultsFolder folder(all.dump());
  const json section = report::results_section(folder.path());
  CHECK(section.at("verdicts").at("columns") == json{"claim", "verdict", "seeds", "note"});
  CHECK(section.at("verdicts").at("rows") == json{{"more is more", "holds", "5", ""}, {"less", "", "", "n"}});
  CHECK(section.at("charts")[0].at("title") == "figure 1");
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
  refused("series", {{{"name", "s"}, {"x", {"one"}}, {"y", {1}}}}, "results of an experiment");
}

TEST_CASE("report: text from data cannot leave its place") {
  json one = run(kHostile, 0, .5);
  one["layers"] = {{{"load", {.5, .5}}}};
  json all = results(json::array({one}));
  all["settings"]["key"] = kHostile;
  all["verdicts"] = {{{"claim", kHostile}}};
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
