#include "corpus.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <utility>

#include <neuroinhib/core/error.hpp>
#include <neuroinhib/core/random.hpp>

#include "text.hpp"

namespace language_model {

using neuroinhib::ConfigError;
using neuroinhib::fail;
using neuroinhib::RandomStream;
using neuroinhib::SequentialRandom;

namespace {

Split split_of(Index document) {
  const Index place = document % 10;
  return place == 8 ? Split::validation : place == 9 ? Split::test : Split::training;
}

/// Numbers words as they come, and again by how frequent they are in the training split.
class Numbering {
 public:
  int add(const std::string& word, Split split) {
    const auto [entry, is_new] = numbers_.emplace(word, static_cast<int>(numbers_.size()));
    if (is_new) counts_.emplace_back(&entry->first, 0);
    if (split == Split::training) ++counts_[static_cast<std::size_t>(entry->second)].second;
    return entry->second;
  }
  /// <eos>, <unk> and the most frequent words of the training split, so many in all; equals in the alphabet's order.
  [[nodiscard]] std::vector<std::string> frequent(Index words) const {
    auto order = counts_;
    std::erase_if(order, [](const auto& entry) { return entry.second == 0 || *entry.first == kUnknownWord; });
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second > b.second : *a.first < *b.first;
    });
    std::vector<std::string> vocabulary{"<eos>", kUnknownWord};
    for (const auto& [word, count] : order) {
      if (static_cast<Index>(vocabulary.size()) == words) break;
      vocabulary.push_back(*word);
    }
    return vocabulary;
  }
  /// The number in a vocabulary by the number that add() gave.
  [[nodiscard]] std::vector<int> places(const std::vector<std::string>& vocabulary) const {
    std::vector<int> places(counts_.size(), kUnknown);
    for (std::size_t i = kUnknown; i < vocabulary.size(); ++i)
      if (const auto found = numbers_.find(vocabulary[i]); found != numbers_.end())
        places[static_cast<std::size_t>(found->second)] = static_cast<int>(i);
    return places;
  }

 private:
  static constexpr const char* kUnknownWord = "<unk>";

  std::unordered_map<std::string, int> numbers_;
  std::vector<std::pair<const std::string*, Index>> counts_;  ///< of each word in the training split
};

/// Puts a corpus together sentence by sentence, of which only numbers are kept.
class Builder {
 public:
  explicit Builder(Corpus& corpus) : corpus_(corpus) {}

  void begin_domain(std::string name) {
    corpus_.domains.push_back(std::move(name));
    sentences_ = 0;
  }
  /// A document ends after kDocumentSentences; where splits are given, with its split.
  void add(const std::vector<std::string>& words, std::optional<Split> split = std::nullopt) {
    const bool begins =
        split ? sentences_ == 0 || corpus_.documents.back().split != *split : sentences_ % kDocumentSentences == 0;
    if (begins) {
      const auto number = static_cast<Index>(corpus_.documents.size());
      corpus_.documents.push_back({static_cast<int>(corpus_.domains.size()) - 1, split.value_or(split_of(number)), {}});
    }
    Document& document = corpus_.documents.back();
    for (const std::string& word : words) document.words.push_back(numbering_.add(word, document.split));
    document.words.push_back(kEndOfSentence);
    ++sentences_;
  }
  [[nodiscard]] Index sentences() const { return sentences_; }  ///< of the domain
  void finish(Index words) {
    corpus_.vocabulary = numbering_.frequent(words);
    const std::vector<int> places = numbering_.places(corpus_.vocabulary);
    Index unknown = 0, all = 0;
    for (Document& document : corpus_.documents)
      for (int& word : document.words) {
        const bool ends = word == kEndOfSentence;
        word = ends ? kEnd : places[static_cast<std::size_t>(word)];
        unknown += word == kUnknown;
        all += !ends;
      }
    corpus_.unknown = all > 0 ? static_cast<double>(unknown) / static_cast<double>(all) : 0;
  }

 private:
  static constexpr int kEndOfSentence = -1;

  Corpus& corpus_;
  Numbering numbering_;
  Index sentences_ = 0;
};

/// The files of WikiText-103 in a folder, by Split; none where its training file is missing.
std::optional<std::array<std::filesystem::path, 3>> wikitext_files(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path / "wiki.train.tokens")) return std::nullopt;
  return std::array{path / "wiki.train.tokens", path / "wiki.valid.tokens", path / "wiki.test.tokens"};
}

/// Lines of tokens between blanks, as they are.
void add_tokens(Builder& builder, const std::filesystem::path& file, Split split, Index most_lines) {
  TextNotes notes;
  Index lines = 0;
  for_each_line(file, notes, [&](std::string& line) {
    if (most_lines > 0 && lines >= most_lines) return;
    std::istringstream stream(line);
    const std::vector<std::string> words{std::istream_iterator<std::string>(stream), {}};
    if (words.empty()) return;
    builder.add(words, split);
    ++lines;
  });
}

/// A domain: sentences of English.
void add_text(Builder& builder, WordReader& reader, const std::filesystem::path& file, Index most_sentences,
              Corpus& corpus) {
  TextNotes notes;
  const std::string name = file.filename().string();
  builder.begin_domain(name.substr(0, name.find(".txt")));
  for_each_line(file, notes, [&](std::string& line) {
    if (most_sentences > 0 && builder.sentences() >= most_sentences) return;
    repair_utf8(line, notes);
    if (const auto words = reader.words(line); !words.empty()) builder.add(words);
  });
  if (notes.invalid_bytes > 0)
    corpus.notes.push_back(name + ": " + std::to_string(notes.invalid_bytes) + " bytes are not UTF-8, read as spaces");
  if (notes.cut_lines > 0)
    corpus.notes.push_back(name + ": lines of more than " + std::to_string(kLongestLine) + " bytes, read in " +
                           std::to_string(notes.cut_lines) + " more pieces");
}

}  // namespace

Index Corpus::words(Split split) const {
  Index total = 0;
  for (const Document& document : documents)
    if (document.split == split) total += static_cast<Index>(document.words.size());
  return total;
}

Corpus read_corpus(const std::filesystem::path& path, Index words, Index most_sentences) {
  Corpus corpus;
  corpus.source = path.filename().empty() ? path.parent_path().filename().string() : path.filename().string();
  Builder builder(corpus);
  if (const auto files = wikitext_files(path)) {
    builder.begin_domain("WikiText-103");
    for (const Split split : {Split::training, Split::validation, Split::test})
      add_tokens(builder, (*files)[static_cast<std::size_t>(split)], split, most_sentences);
  } else {
    WordReader reader;
    for (const auto& file : text_files(path)) add_text(builder, reader, file, most_sentences, corpus);
  }
  builder.finish(words);
  for (const Split split : {Split::training, Split::validation, Split::test})
    if (corpus.words(split) == 0)
      fail<ConfigError>("--data " + path.string(),
                        "words for training, validation and test: at least " +
                            std::to_string(9 * kDocumentSentences + 1) + " sentences, one a line",
                        "no word for " + std::string(kSplits[static_cast<std::size_t>(split)]), "name a longer text");
  return corpus;
}

namespace {

constexpr std::size_t kGrammars = 10;
constexpr Index kFollowers = 8;
constexpr double kEndChance = 1.0 / 12;
constexpr std::uint64_t kGrammarSeed = 2026;

/// Chance of a word's follower of that rank.
double chance(Index rank) {
  double total = 0;
  for (Index r = 0; r < kFollowers; ++r) total += 1 / static_cast<double>(r + 1);
  return (1 - kEndChance) / (static_cast<double>(rank + 1) * total);
}
/// The follower of that rank; two ranks may share one word.
int follower(Index words, Index grammar, int word, Index rank) {
  const RandomStream stream{kGrammarSeed, static_cast<std::uint64_t>(word), static_cast<std::uint32_t>(grammar)};
  return 2 + static_cast<int>((std::uint64_t{stream.word(rank)} * static_cast<std::uint64_t>(words - 2)) >> 32);
}
double probability(Index words, Index grammar, int word, int next) {
  if (next == kEnd) return word == kEnd ? 0 : kEndChance;
  double total = 0;
  for (Index rank = 0; rank < kFollowers; ++rank)
    if (follower(words, grammar, word, rank) == next) total += chance(rank);
  return word == kEnd ? total / (1 - kEndChance) : total;
}

}  // namespace

Corpus make_grammars(Index words, Index sentences) {
  Corpus corpus;
  corpus.source = "ten built-in grammars, which are NOT text";
  for (std::size_t g = 0; g < kGrammars; ++g) corpus.domains.push_back("grammar " + std::to_string(g));
  corpus.vocabulary = {"<eos>", "<unk>"};
  for (Index w = 2; w < words; ++w) corpus.vocabulary.push_back("word" + std::to_string(w));
  SequentialRandom random(kGrammarSeed, 1);
  // At least ten documents, so that every split has some.
  const Index documents = std::max<Index>(10, sentences / kDocumentSentences);
  for (Index d = 0; d < documents; ++d) {
    // The split goes with d mod 10, so the grammar must not.
    const auto grammar = static_cast<Index>(random.integer(0, Index{kGrammars} - 1));
    Document document{static_cast<int>(grammar), split_of(d), {}};
    for (Index s = 0; s < kDocumentSentences; ++s) {
      int word = kEnd;
      do {
        if (word != kEnd && random.uniform() < kEndChance) {
          word = kEnd;
        } else {
          double left = random.uniform() * (1 - kEndChance);
          Index rank = 0;
          while (rank + 1 < kFollowers && left >= chance(rank)) left -= chance(rank++);
          word = follower(words, grammar, word, rank);
        }
        document.words.push_back(word);
      } while (word != kEnd);
    }
    corpus.documents.push_back(std::move(document));
  }
  return corpus;
}

namespace {

void add(Rows& rows, int id, int label, int document, int domain) {
  rows.ids.push_back(id);
  rows.labels.push_back(label);
  rows.documents.push_back(document);
  rows.domains.push_back(domain);
}
/// Pads the row under way.
void fill_up(Rows& rows, int domain) {
  while (rows.ids.size() % static_cast<std::size_t>(rows.length) != 0) add(rows, kEnd, -1, -1, domain);
}

}  // namespace

Rows sentence_rows(const Corpus& corpus, Split split, Index length) {
  Rows rows{length, {}, {}, {}, {}};
  for (const Document& document : corpus.documents) {
    if (document.split != split) continue;
    Index place = 0;  // of the next word in its row
    int before = kEnd;
    for (const int word : document.words) {
      if (before == kEnd) {
        fill_up(rows, document.domain);
        place = 0;
      }
      if (place++ < length) add(rows, before, word, 0, document.domain);
      before = word;
    }
  }
  fill_up(rows, 0);
  return rows;
}

Rows text_rows(const Corpus& corpus, Split split, Index length) {
  Rows rows{length, {}, {}, {}, {}};
  int number = 0;
  for (const Document& document : corpus.documents) {
    if (document.split != split) continue;
    int before = kEnd;
    for (const int word : document.words) add(rows, std::exchange(before, word), word, number, document.domain);
    ++number;
  }
  fill_up(rows, 0);
  return rows;
}

Rows stream_rows(const Corpus& corpus, Split split, Index length, Index streams) {
  const Rows text = text_rows(corpus, split, length);
  const Index words = std::count_if(text.labels.begin(), text.labels.end(), [](int label) { return label >= 0; });
  if (words < length)
    fail<ConfigError>("text of " + corpus.source, "at least " + std::to_string(length) + " words to each of its splits",
                      std::to_string(words), "give more text, or a smaller --length");
  Rows rows{length, {}, {}, {}, {}, std::min(streams, words / length)};
  const Index piece = words / rows.streams;
  for (Index block = 0; block < piece / length; ++block)
    for (Index stream = 0; stream < rows.streams; ++stream) append(rows, text, stream * piece + block * length);
  return rows;
}

void append(Rows& rows, const Rows& from, Index token) {
  for (const auto member : {&Rows::ids, &Rows::labels, &Rows::documents, &Rows::domains}) {
    const auto begin = (from.*member).begin() + token;
    (rows.*member).insert((rows.*member).end(), begin, begin + rows.length);
  }
}

Rows copied(Rows rows) {
  for (std::size_t i = 0; i < rows.ids.size(); ++i)
    if (rows.labels[i] >= 0) rows.ids[i] = rows.labels[i];
  return rows;
}

double grammar_floor(const Corpus& corpus, const Rows& rows) {
  const auto words = static_cast<Index>(corpus.vocabulary.size());
  double total = 0;
  Index counted = 0;
  std::array<double, kGrammars> belief{};
  for (std::size_t i = 0; i < rows.ids.size(); ++i) {
    const bool starts = i % static_cast<std::size_t>(rows.length) == 0 || rows.documents[i] != rows.documents[i - 1];
    if (starts) belief.fill(1.0 / kGrammars);
    if (rows.labels[i] < 0) continue;
    double seen = 0;
    for (std::size_t g = 0; g < kGrammars; ++g)
      seen += belief[g] *= probability(words, static_cast<Index>(g), rows.ids[i], rows.labels[i]);
    for (double& share : belief) share /= seen;
    total -= std::log(seen);
    ++counted;
  }
  return total / static_cast<double>(counted);
}

Rows attacked(Rows rows, double share, std::uint64_t seed) {
  SequentialRandom random(seed, 2);
  for (int& id : rows.ids)
    if (id != kEnd && random.uniform() < share) id = kUnknown;
  return rows;
}

}  // namespace language_model
