#include "text.hpp"

#include <libstemmer.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <neuroinhib/core/error.hpp>
#include <neuroinhib/io/gzip.hpp>

namespace language_model {

using neuroinhib::ConfigError;
using neuroinhib::fail;

namespace {

constexpr std::string_view kNumber = "<num>";

bool is_letter(unsigned char c) {
  return std::isalpha(c) != 0 || c >= 0x80;
}
bool is_digit(unsigned char c) {
  return c >= '0' && c <= '9';
}

/// Bytes of the UTF-8 character that begins here; 0 where none does.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC2 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF5 ? 4
                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  if (length >= 3) {  // overlong forms, surrogates, beyond U+10FFFF
    const unsigned char second = byte(1);
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
        (first == 0xF4 && second > 0x8F))
      return 0;
  }
  return length;
}

/// ASCII lower case; typographic apostrophes as ', other general punctuation (U+2000 … U+206F) as spaces.
std::string simplified(std::string_view line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto c = static_cast<unsigned char>(line[i]);
    if (c == 0xE2 && i + 2 < line.size() && (static_cast<unsigned char>(line[i + 1]) & 0xFE) == 0x80) {
      const auto low = static_cast<unsigned char>(line[i + 2]);
      const bool apostrophe = line[i + 1] == '\x80' && (low == 0x98 || low == 0x99);
      text += apostrophe ? '\'' : ' ';
      i += 2;
    } else {
      text += static_cast<char>(c < 0x80 ? std::tolower(c) : c);
    }
  }
  return text;
}

/// The words that a contraction stands for, "" for one that is none.
std::string_view whole_contraction(std::string_view word) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kTable{{{"can't", "can not"},
                                                                                        {"cannot", "can not"},
                                                                                        {"won't", "will not"},
                                                                                        {"shan't", "shall not"},
                                                                                        {"let's", "let us"},
                                                                                        {"ain't", "is not"},
                                                                                        {"n't", "not"},
                                                                                        {"y'all", "you all"}}};
  for (const auto& [from, to] : kTable)
    if (word == from) return to;
  return {};
}
/// What an ending after an apostrophe stands for.
std::string_view ending(std::string_view stem, std::string_view after) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kTable{
      {{"re", "are"}, {"ve", "have"}, {"ll", "will"}, {"d", "would"}, {"m", "am"}}};
  static constexpr std::array<std::string_view, 10> kIs{"it",    "he",   "she", "that",  "what",
                                                        "there", "here", "who", "where", "how"};
  for (const auto& [from, to] : kTable)
    if (after == from) return to;
  return after == "s" && std::find(kIs.begin(), kIs.end(), stem) != kIs.end() ? "is" : "";
}

}  // namespace

void for_each_line(const std::filesystem::path& file, TextNotes& notes, const std::function<void(std::string&)>& line) {
  neuroinhib::io::GzipReader source(file);
  std::string rest;
  std::array<char, std::size_t{1} << 15> block{};
  const auto give = [&](std::string_view text) {
    ++notes.lines;
    std::string copy(text);
    line(copy);
  };
  // Gives pieces until what remains is no longer than a line may be.
  const auto cut = [&](std::string_view text) {
    while (text.size() > kLongestLine) {
      const std::size_t space = text.rfind(' ', kLongestLine),
                        length = space == std::string_view::npos || space == 0 ? kLongestLine : space;
      ++notes.cut_lines;
      give(text.substr(0, length));
      text.remove_prefix(length);
    }
    return text;
  };
  for (std::size_t got; (got = source.read(block.data(), block.size())) > 0;) {
    rest.append(block.data(), got);
    std::string_view text = rest;
    for (std::size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1))
      give(cut(text.substr(0, end)));
    rest = std::string(cut(text));
  }
  if (!rest.empty()) give(rest);
}

void repair_utf8(std::string& text, TextNotes& notes) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = text[i] == '\0' ? 0 : character_length(std::string_view(text).substr(i));
    if (length == 0) {
      text[i] = ' ';
      ++notes.invalid_bytes;
    }
    i += std::max<std::size_t>(length, 1);
  }
}

void WordReader::Delete::operator()(sb_stemmer* stemmer) const {
  sb_stemmer_delete(stemmer);
}

WordReader::WordReader() : stemmer_(sb_stemmer_new("porter", "UTF_8")) {
  if (!stemmer_) fail<ConfigError>("libstemmer", "its Porter stemmer for UTF-8", "none", "install a whole libstemmer");
}

std::vector<std::string> WordReader::words(std::string_view line) {
  const std::string text = simplified(line);
  std::vector<std::string> all;
  for (std::size_t i = 0; i < text.size();) {
    const auto at = [&](std::size_t k) -> unsigned char {
      return k < text.size() ? static_cast<unsigned char>(text[k]) : 0;
    };
    const std::size_t begin = i;
    if (is_digit(at(i))) {
      while (is_digit(at(i)) || ((at(i) == '.' || at(i) == ',') && is_digit(at(i + 1)))) ++i;
      all.emplace_back(kNumber);
      while (is_letter(at(i))) ++i;  // 1980s, 3rd
    } else if (is_letter(at(i)) || (at(i) == '\'' && is_letter(at(i + 1)))) {
      while (is_letter(at(i)) || (at(i) == '\'' && is_letter(at(i + 1)))) ++i;
      add(std::string_view(text).substr(begin, i - begin), all);
    } else {
      ++i;
    }
  }
  return all;
}

void WordReader::add(std::string_view word, std::vector<std::string>& words) {
  constexpr std::string_view kNot = "n't";
  std::size_t negations = 0;
  for (; whole_contraction(word).empty() && word.size() > kNot.size() && word.ends_with(kNot); ++negations)
    word.remove_suffix(kNot.size());
  if (const std::string_view expanded = whole_contraction(word); !expanded.empty()) {
    const std::size_t space = expanded.find(' ');
    add_stem(expanded.substr(0, space), words);
    if (space != std::string_view::npos) add_stem(expanded.substr(space + 1), words);
  } else {
    const std::size_t apostrophe = std::min(word.find('\''), word.size());
    const std::string_view stem = word.substr(0, apostrophe), rest = word.substr(apostrophe);
    if (!stem.empty()) add_stem(stem, words);
    if (const std::string_view after = rest.empty() ? rest : ending(stem, rest.substr(1)); !after.empty())
      add_stem(after, words);
  }
  for (; negations > 0; --negations) add_stem("not", words);
}

void WordReader::add_stem(std::string_view word, std::vector<std::string>& words) {
  // Porter's own program leaves words of two letters alone; libstemmer would make "is" an "i".
  if (word.size() <= 2) {
    words.emplace_back(word);
    return;
  }
  const sb_symbol* stem =
      sb_stemmer_stem(stemmer_.get(), reinterpret_cast<const sb_symbol*>(word.data()), static_cast<int>(word.size()));
  words.emplace_back(reinterpret_cast<const char*>(stem), static_cast<std::size_t>(sb_stemmer_length(stemmer_.get())));
}

std::vector<std::filesystem::path> text_files(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".txt") || name.ends_with(".txt.gz")) files.push_back(entry.path());
  }
  if (files.empty())
    fail<ConfigError>("--data " + path.string(), "a folder with .txt or .txt.gz files, or wiki.train.tokens", "none",
                      "name a file, or another folder");
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace language_model
