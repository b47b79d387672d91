// docs/operations.md lists every operation and initialiser that the headers declare, as they declare them.

#include <fstream>
#include <iterator>
#include <regex>

#include "support.hpp"

namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// "name(a, b = default)" of a declaration "… name(Type a, Type b = default)".
std::string signature(const std::string& declaration) {
  const std::size_t open = declaration.find('('), close = declaration.rfind(')');
  const std::size_t name = declaration.find_last_of(" *&", open) + 1;  // npos + 1 is the beginning
  std::string result = declaration.substr(name, open + 1 - name);
  std::vector<std::string> arguments{""};
  int depth = 0;
  for (const char c : declaration.substr(open + 1, close - open - 1)) {
    depth += c == '<' || c == '{' || c == '(' ? 1 : c == '>' || c == '}' || c == ')' ? -1 : 0;
    if (c == ',' && depth == 0)
      arguments.emplace_back();
    else
      arguments.back() += c;
  }
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find(" = ");
    const std::string declared = argument.substr(0, equals);
    if (declared.empty()) continue;
    result += (result.back() == '(' ? "" : ", ") + declared.substr(declared.find_last_of(" &*") + 1) +
              (declared.find("...") == std::string::npos ? "" : "…") +
              (equals == std::string::npos ? "" : argument.substr(equals));
  }
  return result + ")";
}

/// The signatures of all declarations in a file that a pattern with one group finds.
std::vector<std::string> signatures(const std::filesystem::path& path, const std::string& pattern) {
  const std::string text = text_of(path);
  const std::regex expression(pattern);
  std::vector<std::string> all;
  for (auto found = std::sregex_iterator(text.begin(), text.end(), expression); found != std::sregex_iterator();
       ++found)
    all.push_back(signature(std::regex_replace(found->str(1), std::regex("\\s+"), " ")));
  return all;
}

}  // namespace

TEST_CASE("the page of operations lists every operation and initialiser with its arguments") {
  const std::filesystem::path include(NEUROINHIB_INCLUDE);
  const std::string page = text_of(include / "../../docs/operations.md");
  std::vector<std::string> all;
  for (const auto& folder : std::filesystem::directory_iterator(include / "ops"))
    for (const auto& s : signatures(
             folder.path() / "op.hpp",
             R"(template <(?:[^\n]*, )?[A-Z]\w+ Ex[^\n]*\n(?:  requires[^\n]*\n)?([^{;]*\(Ex& ex(?:[^{;]|\{\})*)\{)"))
      all.push_back(s);
  CHECK(all.size() > 50);
  for (const auto& s : signatures(include / "core/initializer.hpp", R"(Initializer (\w+\([^{]*\)) \{)"))
    all.push_back(s);
  for (const std::string& s : all) CHECK_MESSAGE(page.find(s) != std::string::npos, s, " is not in docs/operations.md");
}
