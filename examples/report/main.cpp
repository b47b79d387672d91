// Results and telemetry as one page: neuroinhib-report [--out report.html] [--title TEXT] [--steps N] INPUT…

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include <neuroinhib/io/file.hpp>

#include "page.hpp"
#include "results.hpp"
#include "telemetry_section.hpp"

namespace {

namespace fs = std::filesystem;

/// A folder or a .json is an experiment's; other files are telemetry.
nlohmann::json section_of(const fs::path& input, std::size_t steps) {
  if (fs::is_directory(input) || input.extension() == ".json") return report::results_section(input);
  return report::telemetry_section(input, steps);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes the results and the telemetry of runs as one page of HTML, which opens without a network.");
  std::vector<std::string> inputs;
  std::string out = "report.html", title = "neuroinhib";
  std::size_t steps = 4;
  app.add_option("INPUT", inputs, "an experiment's output folder, a results.json, or a file of telemetry")->required();
  app.add_option("--out", out, "the page")->capture_default_str();
  app.add_option("--title", title, "its title")->capture_default_str();
  app.add_option("--steps", steps, "recorded steps of a file of telemetry whose tokens are shown")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    nlohmann::json sections = nlohmann::json::array();
    for (const std::string& input : inputs) sections.push_back(section_of(input, steps));
    const std::string page = report::page_of(title, sections);
    neuroinhib::io::write_file(out, page);
    std::printf("%s: %zu inputs, %zu kB\n", out.c_str(), inputs.size(), page.size() / 1000);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
