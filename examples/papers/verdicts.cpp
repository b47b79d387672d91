// Prints the verdicts of results, a table each, in Markdown:   verdicts FILE.json…
// or puts them into a page, between the lines below:           verdicts --page PAGE.md FILE.json…

#include <cstdio>
#include <cstring>

#include <neuroinhib/io/file.hpp>

#include "verdicts.hpp"

namespace {

using neuroinhib::fail;
using neuroinhib::FormatError;
using namespace papers;

constexpr const char* kBegin = "<!-- verdicts: written by the program of this name -->\n";
constexpr const char* kEnd = "<!-- end of verdicts -->\n";

std::string with_remark(const std::string& tables, const std::string& remark) {
  return remark.empty() ? tables : tables + "\n" + remark + "\n";
}

/// The file's tables, and a remark on where its numbers are from, where it has one.
std::string tables_of(const std::string& file) {
  try {
    const auto results = nlohmann::json::parse(neuroinhib::io::read_file(file));
    return with_remark(verdict_tables(results.at("verdicts")), results.value("provenance", ""));
  } catch (const nlohmann::json::exception& error) {
    fail<FormatError>(file, "results with a list \"verdicts\"", error.what(), "name a results.json of an experiment");
  }
}

/// The page with `text` between its marks. Throws FormatError where they are not there.
std::string put_into(const std::string& page, const std::string& text) {
  const std::string all = neuroinhib::io::read_file(page);
  const std::size_t begin = all.find(kBegin), end = all.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin)
    fail<FormatError>(page, "a place for the verdicts", "none",
                      "add the lines \"" + std::string(kBegin, std::strlen(kBegin) - 1) + "\" and \"" +
                          std::string(kEnd, std::strlen(kEnd) - 1) + "\"");
  return all.substr(0, begin) + kBegin + "\n" + text + "\n" + all.substr(end);
}

int show(const std::vector<std::string>& arguments) {
  const bool into_page = arguments.size() > 1 && arguments[0] == "--page";
  const std::size_t files = into_page ? 2 : 0;
  if (arguments.size() <= files || arguments[0] == "--help")
    throw HelpWanted{"usage: verdicts [--page PAGE.md] FILE.json…\n"};
  std::string text;
  for (std::size_t i = files; i < arguments.size(); ++i) text += (i > files ? "\n" : "") + tables_of(arguments[i]);
  if (into_page)
    neuroinhib::io::write_file(arguments[1], put_into(arguments[1], text));
  else
    std::printf("%s", text.c_str());
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  return run_program(count, arguments, show);
}
