#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <filesystem>
#include <functional>
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
Number number_of(const std::string& option, const std::string& text, Limits<Number> limits) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool within = value >= limits.low && value <= limits.high;  // NaN is not
  if (error != std::errc{} || stop != end || !within)
    fail<ConfigError>(option, (std::integral<Number> ? "a whole number from " : "a number from ") + describe(limits),
                      '"' + text + '"', "give a number within these limits, in digits");
  return value;
}

/// The options of a program.
class Options {
 public:
  Options(std::string program, std::string purpose) : program_(std::move(program)), purpose_(std::move(purpose)) {}

  /// take(value) is called while parsing; `word` names the value in help and errors.
  void value(std::string name, std::string word, std::string help, std::function<void(const std::string&)> take) {
    options_.push_back({std::move(name), std::move(word), std::move(help), std::move(take)});
  }
  void flag(std::string name, std::string help, std::function<void()> take) {
    value(std::move(name), "", std::move(help), [take = std::move(take)](const std::string&) { take(); });
  }
  template <class Number>
  void number(const std::string& name, Number& target, Limits<Number> limits, const std::string& help) {
    value(name, "N", help + " (" + describe(limits) + ", default " + shortest(target) + ")",
          [&target, name, limits](const std::string& text) { target = number_of(name, text, limits); });
  }
  void choice(const std::string& name, std::string& target, const std::vector<std::string>& names,
              const std::string& help) {
    value(name, "NAME", help + ": " + either(names) + defaults(target),
          [&target, name, names](const std::string& text) {
            if (std::find(names.begin(), names.end(), text) == names.end())
              fail<ConfigError>(name, either(names), '"' + text + '"', suggestion(text, names) + "choose one of them");
            target = text;
          });
  }
  void path(const std::string& name, std::filesystem::path& target, const std::string& word, const std::string& help) {
    value(name, word, help + (target.empty() ? "" : defaults(target.string())),
          [&target](const std::string& text) { target = text; });
  }

  /// Throws ConfigError for what is no option, an option given twice or without its value; HelpWanted for --help.
  void parse(const std::vector<std::string>& arguments) {
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
        fail<ConfigError>(name, "a value", "none", "write " + name + " " + option.word + ", " + option.help);
      option.take(text);
    }
  }
  [[nodiscard]] bool given(const std::string& name) { return find(name).given; }
  /// Throws ConfigError where both are given.
  void exclude(const std::string& one, const std::string& other) {
    if (given(one) && given(other))
      fail<ConfigError>("command line", one + " or " + other, "both", "leave one of them out");
  }

 private:
  struct Option {
    std::string name, word, help;
    std::function<void(const std::string&)> take;
    bool given = false;
    [[nodiscard]] bool is_flag() const { return word.empty(); }
  };

  static std::string defaults(const std::string& value) { return " (default " + value + ")"; }
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
      text += "  " + option.name + (option.is_flag() ? "" : " " + option.word) + "\n      " + option.help + "\n";
    return text + "  --help\n      shows this text\n";
  }

  std::string program_, purpose_;
  std::vector<Option> options_;
};

/// Adds what every experiment is told; `call` holds the defaults and outlives the parsing. `data` and `quick` say what
/// those options mean here.
inline void add_call_options(Options& options, Call& call, const std::string& data, const std::string& quick) {
  options.number("--seeds", call.seeds, {1, 1000}, "runs of each row, with seeds 0, 1, …");
  options.path("--data", call.data, "PATH", data);
  options.path("--out", call.out, "FOLDER", "folder for results, tables, pictures and checkpoints");
  options.flag("--resume", "continue what an earlier call with the same options left in the output folder",
               [&call] { call.earlier = Earlier::resume; });
  options.flag("--overwrite", "start again: delete the results and checkpoints of an earlier call in the output folder",
               [&call] { call.earlier = Earlier::overwrite; });
  options.number("--save-seconds", call.save_seconds, {0.0, 86400.0},
                 "seconds of training between two checkpoints; 0: a checkpoint after every step");
  options.flag("--quick", quick, [&call] { call.profile = Profile::quick; });
  options.flag("--full", "the papers' lengths, which is the default", [&call] { call.profile = Profile::full; });
  options.number("--threads", call.threads, {0, 1024},
                 "threads of the CPU; 0: one for each processor that this process may use");
  options.value("--device", "NAME", "cpu, or cuda:N for the GPU of that number (default cpu)",
                [&call](const std::string& text) {
                  constexpr std::string_view kCuda = "cuda:";
                  if (text == "cpu") return;
                  if (!text.starts_with(kCuda))
                    fail<ConfigError>("--device", "cpu or cuda:N", '"' + text + '"', "the first GPU is cuda:0");
                  call.cuda_device = number_of("--device cuda:N", text.substr(kCuda.size()), Limits<int>{0, 255});
                });
}

/// Parses the arguments. Throws ConfigError also for options that exclude each other.
inline void parse_call(Options& options, const std::vector<std::string>& arguments) {
  options.parse(arguments);
  options.exclude("--resume", "--overwrite");
  options.exclude("--quick", "--full");
}

}  // namespace papers
