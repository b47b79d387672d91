// Text of any bytes, plain and gzip: no byte of it is lost, words are words, and a corpus is whole.

#include "text.hpp"

#include <algorithm>
#include <vector>

#include "corpus.hpp"
#include "gzip.hpp"
#include "support.hpp"

using namespace fuzzing;
using namespace language_model;

namespace {

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  TextNotes notes;
  std::vector<std::string> lines;
  for_each_line(file, notes, [&](std::string& line) { lines.push_back(line); });
  require(notes.lines == static_cast<std::int64_t>(lines.size()), "lines are counted");
  return lines;
}

/// The lines are the file's, where no newline ends them cut behind kLongestLine bytes at the most.
void check_lines(const std::vector<std::string>& lines, std::string_view file) {
  for (const std::string& line : lines) {
    require(line.size() <= kLongestLine, "no line is longer than told");
    require(file.starts_with(line), "lines are the file's bytes, in order");
    file.remove_prefix(line.size());
    if (file.starts_with('\n')) file.remove_prefix(1);
  }
  require(file.empty(), "no byte is lost");
}

void check_words(std::string line) {
  TextNotes notes;
  static WordReader reader;
  const std::size_t size = line.size();
  repair_utf8(line, notes);
  require(line.size() == size && notes.invalid_bytes <= static_cast<std::int64_t>(size), "repairing keeps the length");
  const std::int64_t before = notes.invalid_bytes;
  const std::string once = line;
  repair_utf8(line, notes);
  require(line == once && notes.invalid_bytes == before, "what is repaired is UTF-8");
  for (const std::string& word : reader.words(line)) {
    require(!word.empty(), "a word has letters");
    if (word == "<num>") continue;
    for (const char c : word)
      require((c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80, "a word is letters in lower case");
  }
}

void check_corpus(const Corpus& corpus) {
  const auto words = static_cast<int>(corpus.vocabulary.size());
  for (const Document& document : corpus.documents) {
    require(document.words.back() == kEnd, "a document ends with a sentence");
    for (const int word : document.words) require(word >= 0 && word < words, "words are of the vocabulary");
  }
  for (const Split split : {Split::training, Split::validation, Split::test}) {
    const Rows rows = text_rows(corpus, split, 9);
    require(rows.ids.size() % 9 == 0, "rows are whole");
    require(std::count_if(rows.labels.begin(), rows.labels.end(), [](int label) { return label >= 0; }) ==
                corpus.words(split),
            "every word is a label once");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  std::string_view input = text_of(data, size);
  // Longer than a line may be, from a few bytes.
  std::string grown;
  if (input.starts_with('\x1')) {
    while (grown.size() < kLongestLine + size) grown.append(input.substr(1)) += ' ';
    input = grown;
  }
  const auto plain = folder.file("plain.txt", input);
  std::vector<std::string> lines;
  const bool read = accepted([&] { lines = lines_of(plain); });
  for (const std::string& line : lines) check_words(line.substr(0, 4 * size));
  if (!input.starts_with("\x1f\x8b")) {
    require(read, "every plain file is text");
    check_lines(lines, input);
    std::vector<std::string> packed;
    require(accepted([&] { packed = lines_of(folder.file("packed.txt.gz", gzip(input))); }), "gzip is read");
    require(packed == lines, "gzip changes nothing");
  }
  // A corpus needs ten documents of 50 sentences: the input's lines again and again.
  std::string repeated;
  for (std::size_t i = 0; !lines.empty() && i < 520 && repeated.size() < (1 << 14); ++i)
    repeated += lines[i % lines.size()] + "\n";
  (void)accepted([&] { check_corpus(read_corpus(folder.file("corpus.txt", repeated), 20, 600)); });
  return 0;
}
