#pragma once

#include <algorithm>
#include <concepts>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common.hpp"

/// Numbers and lists of names, for people to read; what they may have meant.
namespace papers {

/// A number for people to read: the shortest text of a fraction, commas between a whole number's thousands.
template <class Number>
std::string readable(Number value) {
  std::string text = shortest(value);
  if (std::integral<Number>)
    for (std::size_t place = text.size(); place > 3;) text.insert(place -= 3, ",");
  return text;
}

/// Insertions, deletions and replacements that turn one word into the other (Levenshtein).
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] != b[j] ? 1 : 0);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

/// "did you mean NAME? " for the name that is at most two edits away; else nothing.
inline std::string suggestion(std::string_view word, const std::vector<std::string>& names) {
  constexpr std::size_t kEdits = 2, kLongest = 64;
  if (word.size() > kLongest) return "";
  const auto nearest = std::min_element(names.begin(), names.end(), [&](const auto& a, const auto& b) {
    return edit_distance(word, a) < edit_distance(word, b);
  });
  return nearest == names.end() || edit_distance(word, *nearest) > kEdits ? "" : "did you mean " + *nearest + "? ";
}

/// "a, b or c".
inline std::string either(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return text;
}

/// The words between commas.
inline std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

}  // namespace papers
