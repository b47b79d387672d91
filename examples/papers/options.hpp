#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <filesystem>
#include <functional>
#include <iterator>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <neuroinhib/core/error.hpp>

#include "call.hpp"
#include "common.hpp"
#include "words.hpp"

/// Reading command lines: `--name value` or `--name=value` in any order, each option once; every error is a sentence.
namespace papers {

using neuroinhib::ConfigError;
using neuroinhib::fail;

/// The smallest and the largest value of an option.
template <class Number>
struct Limits {
  Number low, high;
};

template <class Number>
std::string describe(Limits<Number> limits) {
  return readable(limits.low) + " to " + readable(limits.high);
}

/// The number that a text spells. Throws ConfigError for any other text, and outside the limits.
template <class Number>
Number number_of(const std::string& option, const std::string& text,
                 Limits<Number> limits = {std::numeric_limits<Number>::lowest(), std::numeric_limits<Number>::max()}) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool within = value >= limits.low && value <= limits.high;  // NaN is not
  if (error != std::errc{} || stop != end || !within)
    fail<ConfigError>(option, (std::integral<Number> ? "a whole number from " : "a number from ") + describe(limits),
                      '"' + text + '"', "give a number within these limits, in digits");
  return value;
}

/// The options of a program. A text that scripts/replicate reads as well (see README.md) tells their names, forms,
/// limits and help; the program says where each value goes.
class Options {
 public:
  Options(std::string program, const char* description) : program_(std::move(program)), command_(program_) {
    std::istringstream lines(description);
    for (std::string line; std::getline(lines, line);) describe_line(line);
  }

  /// take(value) is called while parsing; `note` follows the help.
  void value(const std::string& name, std::function<void(const std::string&)> take, const std::string& note = "") {
    Option& option = find(name);
    option.take = std::move(take);
    option.help += note;
  }
  void flag(const std::string& name, const std::function<void()>& take) {
    value(name, [take](const std::string&) { take(); });
  }
  /// take(number) is called while parsing, with a number within the limits.
  template <class Number, class Take>
  void number_for(const std::string& name, const Take& take, const std::string& note = "") {
    const std::vector<std::string> ends = of_form(std::integral<Number> ? "whole" : "fraction", name);
    const Limits<Number> limits{number_of<Number>(name, ends.at(0)), number_of<Number>(name, ends.at(1))};
    const auto take_within = [=](const std::string& text) { take(number_of(name, text, limits)); };
    value(name, take_within, " (" + describe(limits) + note + ")");
  }
  template <class Number>
  void number(const std::string& name, Number& target) {
    number_for<Number>(name, [&target](Number value) { target = value; }, ", default " + shortest(target));
  }
  void choice(const std::string& name, std::string& target) {
    const std::vector<std::string> names = of_form("one-of", name);
    const auto take = [&target, name, names](const std::string& text) {
      if (std::find(names.begin(), names.end(), text) == names.end())
        fail<ConfigError>(name, either(names), '"' + text + '"', suggestion(text, names) + "choose one of them");
      target = text;
    };
    value(name, take, ": " + either(names) + defaults(target));
  }
  void path(const std::string& name, std::filesystem::path& target) {
    (void)of_form("path", name);
    const auto take = [&target](const std::string& text) { target = text; };
    value(name, take, target.empty() ? "" : defaults(target.string()));
  }
  /// Names between commas; take(text) checks them.
  void names(const std::string& name, const std::string& standard, std::function<void(const std::string&)> take) {
    std::vector<std::string> plain = of_form("names", name);
    std::erase_if(plain, [](const std::string& text) { return text.find_first_of("(|)[]") != std::string::npos; });
    value(name, std::move(take), (plain.empty() ? "" : ": " + either(plain)) + defaults(standard));
  }

  /// Throws ConfigError for what is no option, an option given twice or without its value, and options that exclude
  /// each other; HelpWanted for --help.
  void parse(const std::vector<std::string>& arguments) {
    for (const Option& option : options_)
      if (!option.take)
        fail<ConfigError>("experiment.txt, " + option.name, "an option that the program reads", "one that it does not",
                          "remove the line, or say in the program where its value goes");
    for (auto argument = arguments.begin(); argument != arguments.end(); ++argument) {
      if (*argument == "--help" || *argument == "-h") throw HelpWanted{help()};
      const std::size_t equals = argument->find('=');
      const std::string name = argument->substr(0, equals);
      Option& option = find(name);
      if (std::exchange(option.given, true)) fail<ConfigError>(name, "it once", "it twice", "keep one of the two");
      std::string text;
      if (equals != std::string::npos)
        text = argument->substr(equals + 1);
      else if (!option.is_flag() && argument + 1 != arguments.end() && !(argument + 1)->starts_with("--"))
        text = *++argument;
      if (option.is_flag() && equals != std::string::npos)
        fail<ConfigError>(name, "no value", '"' + text + '"', "write " + name + " alone");
      if (!option.is_flag() && text.empty())
        fail<ConfigError>(name, "a value", "none", "write " + name + " " + option.word() + ", " + option.help);
      option.take(text);
      note(option, text);
    }
    for (const auto& [one, other] : exclusions_)
      if (given(one) && given(other))
        fail<ConfigError>("command line", one + " or " + other, "both", "leave one of them out");
  }
  [[nodiscard]] bool given(const std::string& name) { return find(name).given; }
  /// The program and what it was given, for people to repeat: without their folders.
  [[nodiscard]] const std::string& command() const { return command_; }

 private:
  struct Option {
    std::string name, form;
    std::vector<std::string> values;  ///< limits of a number, names of a choice
    std::string help;
    std::function<void(const std::string&)> take;
    bool given = false;

    [[nodiscard]] bool is_flag() const { return form == "flag"; }
    /// Its value in help and errors.
    [[nodiscard]] std::string word() const {
      if (form == "whole" || form == "fraction") return "N";
      return form == "path" ? "PATH" : form == "names" ? "NAMES" : "NAME";
    }
  };

  static std::string defaults(const std::string& value) { return " (default " + value + ")"; }
  void describe_line(const std::string& line) {
    std::istringstream stream(line);
    std::vector<std::string> words{std::istream_iterator<std::string>(stream), {}};
    if (line.empty() || line[0] == '#') return;
    if (line[0] == ' ') {
      for (const std::string& word : words) options_.back().help += (options_.back().help.empty() ? "" : " ") + word;
    } else if (line.starts_with("--")) {
      options_.push_back({words.at(0), words.at(1), {words.begin() + 2, words.end()}, "", {}});
    } else if (words[0] == "never") {
      exclusions_.emplace_back(words.at(1), words.at(2));
    } else if (words[0] == "about") {
      purpose_ = line.substr(line.find(' ') + 1);
    }
  }
  void note(const Option& option, const std::string& text) {
    for (const char* own : {"--out", "--resume", "--overwrite"})
      if (option.name == own) return;
    command_ += " " + option.name;
    if (!option.is_flag()) command_ += " " + (option.form == "path" ? option.word() : text);
  }
  /// What follows the form in the option's line. Throws ConfigError where the text tells of another form.
  [[nodiscard]] const std::vector<std::string>& of_form(const std::string& form, const std::string& name) {
    const Option& option = find(name);
    if (option.form != form)
      fail<ConfigError>("experiment.txt, " + name, form, option.form, "write the form that the program reads");
    return option.values;
  }
  Option& find(const std::string& name) {
    const auto found = std::find_if(options_.begin(), options_.end(), [&](const Option& o) { return o.name == name; });
    if (found != options_.end()) return *found;
    std::vector<std::string> names;
    for (const Option& option : options_) names.push_back(option.name);
    fail<ConfigError>("command line", "options such as " + names.front(), '"' + name + '"',
                      suggestion(name, names) + program_ + " --help lists all options");
  }
  [[nodiscard]] std::string help() const {
    std::string text = "usage: " + program_ + " [options]\n" + purpose_ + "\n\n";
    for (const Option& option : options_)
      text += "  " + option.name + (option.is_flag() ? "" : " " + option.word()) + "\n      " + option.help + "\n";
    return text + "  --help\n      shows this text\n";
  }

  std::string program_, command_, purpose_;
  std::vector<Option> options_;
  std::vector<std::pair<std::string, std::string>> exclusions_;
};

/// The rows of a list of names. Throws ConfigError for a name that is no row, and for a row named twice.
inline std::vector<std::string> read_rows(const std::string& text, const std::vector<std::string>& names) {
  std::vector<std::string> rows;
  for (const std::string& name : split_at_commas(text)) {
    const bool all = name == "all";
    if (!all && std::find(names.begin(), names.end(), name) == names.end())
      fail<ConfigError>("--rows", "all, " + either(names), '"' + name + '"',
                        suggestion(name, names) + "separate rows by commas");
    for (const std::string& row : all ? names : std::vector{name}) {
      if (std::find(rows.begin(), rows.end(), row) != rows.end())
        fail<ConfigError>("--rows", "each row once", row + " twice", "name it once; all means every row");
      rows.push_back(row);
    }
  }
  return rows;
}
/// --rows, all of them unless told otherwise.
template <class Table>
void add_rows(Options& options, Call& call, const Table& table) {
  for (const auto& row : table) call.rows.emplace_back(row.name);
  options.names("--rows", "all",
                [&call, names = call.rows](const std::string& text) { call.rows = read_rows(text, names); });
}

/// Throws ConfigError for extents of a network that do not fit together.
inline void check_extents(Index width, Index heads, Index experts, Index chosen) {
  const auto refuse = [](const char* option, const std::string& expected, Index got) {
    fail<ConfigError>(option, expected, shortest(got),
                      "give --width in multiples of --heads, and no more --chosen than --experts");
  };
  if (width % heads != 0) refuse("--heads", "a number that divides the width " + shortest(width), heads);
  if (chosen > experts) refuse("--chosen", "at most the number of experts, " + shortest(experts), chosen);
}

/// Parses the options, with those of every experiment (call.txt), --data and --quick, which go to `call`: it holds
/// their defaults.
inline void parse(Options& options, const std::vector<std::string>& arguments, Call& call) {
  options.number("--seeds", call.seeds);
  options.path("--data", call.data);
  options.path("--out", call.out);
  options.flag("--resume", [&call] { call.earlier = Earlier::resume; });
  options.flag("--overwrite", [&call] { call.earlier = Earlier::overwrite; });
  options.number("--save-seconds", call.save_seconds);
  options.flag("--quick", [&call] { call.profile = Profile::quick; });
  options.flag("--full", [&call] { call.profile = Profile::full; });
  options.number("--threads", call.threads);
  const auto take_device = [&call](const std::string& text) {
    constexpr std::string_view kCuda = "cuda:";
    if (text == "cpu") return;
    if (!text.starts_with(kCuda))
      fail<ConfigError>("--device", "cpu or cuda:N", '"' + text + '"', "the first GPU is cuda:0");
    call.cuda_device = number_of("--device cuda:N", text.substr(kCuda.size()), Limits<int>{0, 255});
  };
  options.value("--device", take_device, " (default cpu)");
  options.choice("--precision", call.precision);
  options.parse(arguments);
  call.command = options.command();
  if (options.given("--precision") && !call.on_cuda())
    fail<ConfigError>("--precision", "a GPU", "the CPU, whose products are exact",
                      "add --device cuda:0, or leave it out");
}

}  // namespace papers
