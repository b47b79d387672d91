#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct sb_stemmer;

/// Reading English as "Neural Inhibition Improves Dynamic Routing and Mixture of Experts" does (section 4.2).
namespace language_model {

/// What a reader met and did not stop at.
struct TextNotes {
  std::int64_t lines = 0, words = 0;
  std::int64_t invalid_bytes = 0;  ///< not UTF-8: read as spaces
  std::int64_t cut_lines = 0;      ///< longer than kLongestLine: read in pieces
};

/// Calls line(text) for each line of a file, plain or gzip. A line of more than kLongestLine bytes comes in pieces, cut
/// at a space where there is one. Throws IoError for a file that cannot be read, FormatError for one that is damaged,
/// or has more than io::kMaxBytes, uncompressed.
inline constexpr std::size_t kLongestLine = std::size_t{1} << 16;
void for_each_line(const std::filesystem::path& file, TextNotes& notes, const std::function<void(std::string&)>& line);

/// Replaces what is not UTF-8 by spaces.
void repair_utf8(std::string& text, TextNotes& notes);

/// Words as the paper has them: lower-cased, numbers as <num>, contractions expanded, punctuation removed,
/// Porter-stemmed.
class WordReader {
 public:
  WordReader();
  /// The words of a line.
  [[nodiscard]] std::vector<std::string> words(std::string_view line);

 private:
  void add(std::string_view word, std::vector<std::string>& words);
  void add_stem(std::string_view word, std::vector<std::string>& words);

  struct Delete {
    void operator()(sb_stemmer* stemmer) const;
  };
  std::unique_ptr<sb_stemmer, Delete> stemmer_;
};

/// All text files of a path: itself, or those in a folder (.txt and .txt.gz), by name. Throws ConfigError for none.
std::vector<std::filesystem::path> text_files(const std::filesystem::path& path);

}  // namespace language_model
