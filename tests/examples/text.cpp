// Reading English for the language model: the paper's preprocessing, splits, rows, the grammars' entropy, bad input.

#include "text.hpp"

#include <cstdio>
#include <fstream>

#include "corpus.hpp"
#include "support.hpp"

using namespace testing;
using namespace language_model;

namespace {

std::vector<std::string> words(std::string_view line) {
  return WordReader().words(line);
}
using Words = std::vector<std::string>;

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// So many sentences of one domain.
std::string sentences(int count, const std::string& line) {
  std::string text;
  for (int i = 0; i < count; ++i) text += line + "\n";
  return text;
}

}  // namespace

TEST_CASE("words are lower-cased, stemmed, without punctuation, numbers as <num>, contractions expanded") {
  CHECK(words("The dogs WERE running, \"quickly\"!") == Words{"the", "dog", "were", "run", "quickli"});
  CHECK(words("In 1987 it rose 1,234.5 points; the 3rd time.") ==
        Words{"in", "<num>", "it", "rose", "<num>", "point", "the", "<num>", "time"});
  CHECK(words("I can't, won't and shan't.") == Words{"i", "can", "not", "will", "not", "and", "shall", "not"});
  CHECK(words("They've said he'd go; we're sure I'm late, you'll see.") == Words{"thei", "have", "said", "he", "would",
                                                                                 "go", "we", "ar", "sure", "i", "am",
                                                                                 "late", "you", "will", "see"});
  CHECK(words("It's John's dog; it isn't Mary's.") == Words{"it", "is", "john", "dog", "it", "is", "not", "mari"});
  CHECK(words("do n't") == Words{"do", "not"});
  CHECK(words("n'tn't a'bn't can'tn't o'clock") == Words{"not", "not", "a", "not", "can", "not", "not", "o"});
  CHECK(words("a\xE2\x80\x94"
              "b \xE2\x80\x9C"
              "don\xE2\x80\x99t\xE2\x80\x9D na\xC3\xAFve") == Words{"a", "b", "do", "not", "na\xC3\xAFv"});
  CHECK(words("  ... !? ").empty());
}

TEST_CASE("bytes that are not UTF-8 are read as spaces, and counted") {
  TextNotes notes;
  std::string text = std::string("caf\xC3\xA9 \xFF\xC3( \xE2\x82 \xED\xA0\x80 \xF0\x9F\x98\x80 a\0b", 25);
  repair_utf8(text, notes);
  CHECK(text.substr(0, 5) == "caf\xC3\xA9");
  CHECK(text.find('\xFF') == std::string::npos);
  CHECK(text.find("\xF0\x9F\x98\x80") != std::string::npos);
  CHECK(notes.invalid_bytes == 8);
}

TEST_CASE("a text in streams: every row goes on where the row a batch before ended") {
  const Corpus corpus = make_grammars(50, 2000);
  const Rows text = text_rows(corpus, Split::training, 8), rows = stream_rows(corpus, Split::training, 8, 5);
  CHECK(rows.streams == 5);
  CHECK(rows.count() % 5 == 0);
  CHECK(rows.count() >= text.count() - 6);
  for (std::size_t i = 0; i < rows.ids.size(); ++i) {
    CHECK(rows.labels[i] >= 0);
    const std::size_t next = (i + 1) % 8 > 0 ? i + 1 : i + 1 + 4 * 8;
    if (next < rows.ids.size()) CHECK(rows.ids[next] == rows.labels[i]);
  }
  CHECK(std::equal(rows.ids.begin(), rows.ids.begin() + 8, text.ids.begin()));
  CHECK(stream_rows(corpus, Split::test, corpus.words(Split::test) / 2, 5).streams == 2);
  check_error<ConfigError>([&] { (void)stream_rows(corpus, Split::test, corpus.words(Split::test) + 1, 5); },
                           {"words to each of its splits", "smaller --length"});
}

TEST_CASE("a file of one endless line is read in pieces, at spaces") {
  const TemporaryFolder folder;
  std::string line;
  while (line.size() < 5 * kLongestLine) line += "word after word ";
  write(folder / "endless.txt", line);
  TextNotes notes;
  std::size_t most = 0, all = 0;
  for_each_line(folder / "endless.txt", notes, [&](std::string& piece) {
    most = std::max(most, piece.size());
    all += words(piece).size();
  });
  CHECK(most <= kLongestLine);
  CHECK(notes.cut_lines >= 4);
  CHECK(all == 3 * line.size() / 16);
  write(folder / "long.txt", "a\n" + line.substr(0, kLongestLine + 5000) + "\nb\n");
  std::vector<std::size_t> lengths;
  for_each_line(folder / "long.txt", notes, [&](std::string& piece) { lengths.push_back(piece.size()); });
  REQUIRE(lengths.size() == 4);
  CHECK(lengths[1] <= kLongestLine);
  CHECK(lengths[1] + lengths[2] == kLongestLine + 5000);
  write(folder / "solid.txt", std::string(3 * kLongestLine, 'x'));
  for_each_line(folder / "solid.txt", notes, [&](std::string& piece) { CHECK(piece.size() <= kLongestLine); });
}

TEST_CASE("text that cannot be read, or is none, is an error that says so") {
  const TemporaryFolder folder;
  TextNotes notes;
  const auto ignore = [](std::string&) {};
  check_error<IoError>([&] { for_each_line(folder / "none.txt", notes, ignore); }, {"none.txt", "a readable file"});
  check_error<ConfigError>([&] { (void)read_corpus(folder.path, 100, 0); }, {".txt or .txt.gz files"});
  write(folder / "empty.txt", "");
  check_error<ConfigError>([&] { (void)read_corpus(folder / "empty.txt", 100, 0); },
                           {"words for training", "451 sentences"});
  write(folder / "short.txt", sentences(100, "too few sentences for three splits"));
  check_error<ConfigError>([&] { (void)read_corpus(folder / "short.txt", 100, 0); }, {"no word for validation"});
  write(folder / "broken.txt.gz", std::string("\x1f\x8b\x08\0\0\0\0\0\0\3not deflated at all", 29));
  check_error<FormatError>([&] { for_each_line(folder / "broken.txt.gz", notes, ignore); }, {"broken.txt.gz", "gzip"});
}

TEST_CASE("documents are split 80/10/10, the vocabulary is that of the training split") {
  const TemporaryFolder folder;
  write(folder / "a.txt", sentences(500, "one two two three three three"));
  write(folder / "b.txt", sentences(500, "four four four four seldom"));
  const Corpus corpus = read_corpus(folder.path, 5, 0);
  CHECK(corpus.domains == Words{"a", "b"});
  CHECK(corpus.documents.size() == 20);
  CHECK(corpus.vocabulary == Words{"<eos>", "<unk>", "four", "three", "two"});
  const Index all = corpus.words(Split::training) + corpus.words(Split::validation) + corpus.words(Split::test);
  CHECK(all == 500 * 7 + 500 * 6);
  CHECK(corpus.words(Split::training) == all * 8 / 10);
  CHECK(corpus.unknown == doctest::Approx(1000.0 / 5500));
  CHECK(read_corpus(folder.path, 5, 300).documents.size() == 12);
}

TEST_CASE("WikiText-103 keeps its splits and its tokens") {
  const TemporaryFolder folder;
  write(folder / "wiki.train.tokens", " \n = Title = \n \n The <unk> ran @-@ and Ran , \n ran ran \n");
  write(folder / "wiki.valid.tokens", " The new \n");
  check_error<IoError>([&] { (void)read_corpus(folder.path, 100, 0); }, {"wiki.test.tokens", "a readable file"});
  write(folder / "wiki.test.tokens", " ran ran \n");
  const Corpus corpus = read_corpus(folder.path, 6, 0);
  CHECK(corpus.domains == Words{"WikiText-103"});
  CHECK(corpus.vocabulary == Words{"<eos>", "<unk>", "ran", "=", ",", "@-@"});
  REQUIRE(corpus.documents.size() == 3);
  CHECK(corpus.documents[0].words == std::vector<int>{3, 1, 3, kEnd, 1, kUnknown, 2, 5, 1, 1, 4, kEnd, 2, 2, kEnd});
  CHECK(corpus.documents[1].split == Split::validation);
  CHECK(corpus.documents[1].words == std::vector<int>{1, 1, kEnd});
  CHECK(corpus.words(Split::test) == 3);
  CHECK(read_corpus(folder.path, 6, 1).words(Split::training) == 4);
}

TEST_CASE("rows hold every label once, and padding where there is none") {
  const Corpus corpus = make_grammars(50, 1000);
  for (const Split split : {Split::training, Split::validation, Split::test}) {
    const Rows text = text_rows(corpus, split, 33), cut = sentence_rows(corpus, split, 200);
    for (const Rows* rows : {&text, &cut}) {
      CHECK(rows->ids.size() % static_cast<std::size_t>(rows->length) == 0);
      CHECK(std::count_if(rows->labels.begin(), rows->labels.end(), [](int label) { return label >= 0; }) ==
            corpus.words(split));
      for (std::size_t i = 0; i < rows->ids.size(); ++i) CHECK((rows->labels[i] < 0) == (rows->documents[i] < 0));
    }
    for (std::size_t i = 1; i < text.ids.size(); ++i)
      if (text.documents[i] == text.documents[i - 1] && text.labels[i] >= 0) CHECK(text.ids[i] == text.labels[i - 1]);
  }
  const Rows rows = text_rows(corpus, Split::test, 33), changed = attacked(rows, .3, 1);
  Index swapped = 0, words = 0;
  for (std::size_t i = 0; i < rows.ids.size(); ++i) {
    swapped += changed.ids[i] != rows.ids[i];
    words += rows.ids[i] != kEnd;
    if (changed.ids[i] != rows.ids[i]) CHECK(changed.ids[i] == kUnknown);
  }
  CHECK(std::abs(static_cast<double>(swapped) / static_cast<double>(words) - .3) < .03);
  CHECK(changed.labels == rows.labels);
}

TEST_CASE("a copy reads the word that it predicts, and keeps its padding") {
  const Corpus corpus = make_grammars(50, 200);
  const Rows rows = sentence_rows(corpus, Split::test, 20), copy = copied(rows);
  CHECK(copy.labels == rows.labels);
  CHECK(copy.documents == rows.documents);
  for (std::size_t i = 0; i < rows.ids.size(); ++i)
    CHECK(copy.ids[i] == (rows.labels[i] < 0 ? rows.ids[i] : rows.labels[i]));
}

TEST_CASE("the grammars' floor is the entropy of one grammar, and what guessing the grammar costs") {
  const Corpus corpus = make_grammars(400, 20000);
  // One grammar's entropy a word: the end, and eight followers as 1 / rank.
  double entropy = -std::log(1.0 / 12) / 12, total = 0;
  for (int r = 1; r <= 8; ++r) total += 1.0 / r;
  for (int r = 1; r <= 8; ++r) {
    const double chance = 11.0 / 12 / (r * total);
    entropy -= chance * std::log(chance);
  }
  const double with_context = grammar_floor(corpus, text_rows(corpus, Split::test, 512)),
               without = grammar_floor(corpus, sentence_rows(corpus, Split::test, 200));
  CHECK(with_context > entropy - .1);
  CHECK(with_context < entropy + .1);
  CHECK(without > with_context);
}
