// The papers' command lines: what is accepted keeps the limits that --help tells, in any order and either spelling.

#include <cstdlib>
#include <map>
#include <optional>
#include <vector>

#include "common.hpp"
#include "language_model/settings.hpp"
#include "neural_inhibition/mixed_numbers/settings.hpp"
#include "support.hpp"

using namespace fuzzing;

namespace {

using Arguments = std::vector<std::string>;

/// What --help says of an option.
struct Help {
  bool flag = false;
  std::optional<std::pair<double, double>> limits;
};

/// "1,000" as a number; none where the text begins otherwise.
std::optional<double> number_in(const std::string& text) {
  std::string digits;
  for (const char c : text)
    if (c != ',') digits += c;
  char* end = nullptr;
  const double number = std::strtod(digits.c_str(), &end);
  return end == digits.c_str() ? std::nullopt : std::optional(number);
}

/// Reads "  --name WORD", and "(low to high" in the line behind it.
std::map<std::string, Help> read_help(const std::string& text) {
  std::map<std::string, Help> options;
  std::string name;
  for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    if (line.starts_with("  --")) {
      const std::size_t space = line.find(' ', 2);
      name = line.substr(2, space - 2);
      options[name].flag = space == std::string::npos;
    } else if (const std::size_t open = line.rfind(" ("); !name.empty() && open != std::string::npos) {
      const std::size_t to = line.find(" to ", open);
      if (to == std::string::npos) continue;
      const auto low = number_in(line.substr(open + 2, to - open - 2)), high = number_in(line.substr(to + 4));
      if (low && high) options[name].limits = {*low, *high};
    }
  }
  return options;
}

template <class Settings>
std::string summary(const Settings& s) {
  std::string text = s.key() + "; seeds " + std::to_string(s.seeds) + ", threads " + std::to_string(s.threads) +
                     ", device " + std::to_string(s.cuda_device.value_or(-1)) + ", save " +
                     std::to_string(s.save_seconds) + ", " + s.data.string() + ", " + s.out.string() + ", " +
                     std::to_string(static_cast<int>(s.profile)) + std::to_string(static_cast<int>(s.earlier));
  for (const std::string& row : s.rows) text += ", " + row;
  return text;
}

/// Name and value of each option, in order; a flag has no value.
std::vector<std::pair<std::string, std::string>> pairs_of(const Arguments& arguments,
                                                          const std::map<std::string, Help>& help) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (auto argument = arguments.begin(); argument != arguments.end(); ++argument) {
    const std::size_t equals = argument->find('=');
    const std::string name = argument->substr(0, equals);
    require(help.contains(name), "--help tells of every option");
    if (equals != std::string::npos)
      pairs.emplace_back(name, argument->substr(equals + 1));
    else
      pairs.emplace_back(name, help.at(name).flag ? "" : *++argument);
  }
  return pairs;
}

template <class Read>
void check(const Read& read, const Arguments& arguments) {
  static const std::map<std::string, Help> help = [&] {
    try {
      (void)read({"--help"});
    } catch (const papers::HelpWanted& wanted) {
      return read_help(wanted.text);
    }
    std::abort();
  }();
  std::string text;
  try {
    if (!accepted([&] { text = summary(read(arguments)); })) return;
  } catch (const papers::HelpWanted&) {
    return;
  }
  const auto pairs = pairs_of(arguments, help);
  Arguments apart, joined;
  for (auto pair = pairs.rbegin(); pair != pairs.rend(); ++pair) {
    const auto& [name, value] = *pair;
    const Help& told = help.at(name);
    if (told.limits) {
      const auto number = number_in(value);
      require(number && *number >= told.limits->first && *number <= told.limits->second, "values keep their limits");
    }
    apart.push_back(name);
    if (!told.flag) apart.push_back(value);
    joined.push_back(told.flag ? name : name + "=" + value);
  }
  require(summary(read(joined)) == text, "neither order nor spelling matters");
  for (const auto& [name, value] : pairs)
    if (value.starts_with("--")) return;  // which only --name=value can say
  require(summary(read(apart)) == text, "neither order nor spelling matters");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Arguments arguments;
  std::string_view input = text_of(data, size);
  while (!input.empty()) {
    const std::size_t end = std::min(input.find('\n'), input.size());
    arguments.emplace_back(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  check([](const Arguments& given) { return language_model::read_settings(given); }, arguments);
  check([](const Arguments& given) { return mixed_numbers::read_settings(given); }, arguments);
  return 0;
}
