#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <neuroinhib/core/error.hpp>

#include "call.hpp"
#include "words.hpp"

/// What runs keep as JSON, in checkpoints and in results.json. JSON has no NaN and no infinity: they are kept as text.
namespace papers {

/// The value with all numbers that JSON lacks as the texts "nan", "inf" and "-inf".
inline nlohmann::json storable(nlohmann::json value) {
  if (value.is_structured())
    for (auto& part : value) part = storable(std::move(part));
  else if (value.is_number_float() && !std::isfinite(value.get<double>()))
    value = shortest(value.get<double>());
  return value;
}

/// The number that storable() kept; none for any other value.
inline std::optional<double> stored_number(const nlohmann::json& value) {
  constexpr std::array kTexts{std::pair{"nan", NAN}, std::pair{"-nan", -NAN}, std::pair{"inf", INFINITY},
                              std::pair{"-inf", -INFINITY}};
  if (value.is_number()) return value.get<double>();
  if (value.is_string())
    for (const auto& [text, number] : kTexts)
      if (value.get_ref<const std::string&>() == text) return number;
  return std::nullopt;
}

/// The same of a value that must be one. Throws nlohmann::json::type_error.
inline double number_in(const nlohmann::json& value) {
  const auto number = stored_number(value);
  return number ? *number : value.get<double>();
}
inline std::vector<double> numbers_in(const nlohmann::json& values) {
  std::vector<double> numbers;
  for (const auto& value : values) numbers.push_back(number_in(value));
  return numbers;
}

/// The notes that a run left in its checkpoint: a JSON object, read entry by entry. Throws FormatError for an entry
/// that is missing or of another form.
class Notes {
 public:
  Notes(std::filesystem::path checkpoint, const std::string& text)
      : checkpoint_(std::move(checkpoint)), notes_(nlohmann::json::parse(text, nullptr, false)) {
    if (!notes_.is_object()) refuse("notes", "a JSON object", shortened(text));
  }

  [[nodiscard]] Index count(const char* name, Index low, Index high) const {
    const auto& value = entry(name);
    if (!value.is_number_integer() || value < low || value > high)
      refuse(name, "a whole number from " + readable(low) + " to " + readable(high), shortened(value.dump()));
    return value;
  }
  [[nodiscard]] double number(const char* name) const {
    return number(name, entry(name), "a number, \"nan\", \"inf\" or \"-inf\"");
  }
  /// A list of so many.
  [[nodiscard]] std::vector<double> numbers(const char* name, Index low, Index high) const {
    const std::string expected =
        "a list of " + (low == high ? "" : readable(low) + " to ") + readable(high) + " numbers";
    std::vector<double> numbers;
    for (const auto& value : list(name, entry(name), low, high, expected))
      numbers.push_back(number(name, value, expected));
    return numbers;
  }
  /// So many lists of so many sets, each the bits of a whole number.
  [[nodiscard]] std::vector<std::vector<std::uint64_t>> sets(const char* name, Index lists, Index each) const {
    const std::string expected = readable(lists) + " lists of " + readable(each) + " whole numbers";
    std::vector<std::vector<std::uint64_t>> sets;
    for (const auto& values : list(name, entry(name), lists, lists, expected)) {
      auto& set = sets.emplace_back();
      for (const auto& value : list(name, values, each, each, expected)) {
        if (!value.is_number_unsigned()) refuse(name, expected, shortened(value.dump()) + " among them");
        set.push_back(value);
      }
    }
    return sets;
  }

 private:
  [[nodiscard]] const nlohmann::json& entry(const char* name) const {
    const auto found = notes_.find(name);
    if (found == notes_.end()) refuse(name, "an entry of that name", "none");
    return *found;
  }
  [[nodiscard]] double number(const char* name, const nlohmann::json& value, const std::string& expected) const {
    const auto number = stored_number(value);
    if (!number) refuse(name, expected, shortened(value.dump()));
    return *number;
  }
  [[nodiscard]] const nlohmann::json& list(const char* name, const nlohmann::json& value, Index low, Index high,
                                           const std::string& expected) const {
    if (!value.is_array()) refuse(name, expected, shortened(value.dump()));
    const auto size = static_cast<Index>(value.size());
    if (size < low || size > high) refuse(name, expected, "a list of " + readable(size));
    return value;
  }
  static std::string shortened(const std::string& text) {
    constexpr std::size_t kLongest = 40;
    return text.size() <= kLongest ? text : text.substr(0, kLongest) + "…";
  }
  [[noreturn]] void refuse(const std::string& name, const std::string& expected, const std::string& actual) const {
    neuroinhib::fail<neuroinhib::FormatError>(
        "checkpoint " + checkpoint_.string() + ", " + name, expected, actual,
        "the file is damaged or of another version: delete it to train this run anew");
  }

  std::filesystem::path checkpoint_;
  nlohmann::json notes_;
};

}  // namespace papers
