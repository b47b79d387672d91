#include "markdown.hpp"

#include <sstream>
#include <utility>
#include <vector>

namespace report {
namespace {

using nlohmann::json;

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") + 1 - first);
}

/// The cells of "| a | b |".
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream rest(line.substr(1));
  for (std::string cell; std::getline(rest, cell, '|');) cells.push_back(trimmed(cell));
  if (!cells.empty() && cells.back().empty()) cells.pop_back();
  return cells;
}

/// The line between a table's head and its rows.
bool is_rule(const std::string& line) {
  return line.starts_with('|') && line.find_first_not_of("|:- ") == std::string::npos;
}

}  // namespace

json blocks_of(const std::string& markdown) {
  json blocks = json::array();
  bool apart = true;  // from the block before
  const auto block = [&](const char* kind) -> json& {
    if (std::exchange(apart, false) || !blocks.back().contains(kind)) blocks.push_back({{kind, nullptr}});
    return blocks.back()[kind];
  };
  std::istringstream lines(markdown);
  for (std::string raw; std::getline(lines, raw);) {
    const std::string line = trimmed(raw);
    if (is_rule(line)) continue;
    if (line.empty()) {
      apart = true;
    } else if (line.starts_with("- ")) {
      block("list").push_back(line.substr(2));
    } else if (line.starts_with('|')) {
      json& table = block("table");
      if (table.is_null())
        table = {{"columns", cells_of(line)}, {"rows", json::array()}};
      else
        table["rows"].push_back(cells_of(line));
    } else if (const auto text = line.find_first_not_of("# "); line.starts_with('#') && text != std::string::npos) {
      apart = true;
      block("heading") = line.substr(text);
      apart = true;
    } else {
      json& text_so_far = block("text");
      text_so_far = text_so_far.is_null() ? line : text_so_far.get<std::string>() + "\n" + line;
    }
  }
  return blocks;
}

}  // namespace report
