#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include <neuroinhib/core/tensor.hpp>

/// Text as numbers: a vocabulary, and sentences by domain and split.
namespace language_model {

using neuroinhib::Index;

inline constexpr int kEnd = 0, kUnknown = 1;  ///< <eos>, which also starts a sentence, and <unk>

enum class Split { training, validation, test };
inline constexpr std::array<const char*, 3> kSplits{"training", "validation", "test"};

/// Consecutive sentences of one domain; all of one split, and nothing outside is ever its context.
struct Document {
  int domain = 0;
  Split split = Split::training;
  std::vector<int> words;  ///< sentences one after another, each ended by kEnd
};

struct Corpus {
  std::string source;  ///< for people to read
  std::vector<std::string> domains, vocabulary;
  std::vector<Document> documents;
  std::vector<std::string> notes;  ///< what reading met
  double unknown = 0;              ///< share of words outside the vocabulary

  [[nodiscard]] Index words(Split split) const;
};

/// Sentences of one document: 80 % of the documents are for training, 10 % each for validation and test.
inline constexpr Index kDocumentSentences = 50;

/// Reads a file or a folder, of which only numbers are kept; a domain a file. A folder with wiki.train.tokens is
/// WikiText-103's: its own splits and tokens, as they stand between blanks. Elsewhere the vocabulary is the `words`
/// most frequent words of the training split, <eos> and <unk>. `most_sentences` 0: all; else the first of each domain.
/// Throws ConfigError for text without a word.
Corpus read_corpus(const std::filesystem::path& path, Index words, Index most_sentences);

/// Ten grammars over one vocabulary: in each, a word is followed by one of eight, with chances that fall as 1/rank.
/// What the next word's entropy is, given all words before, is known exactly (grammar_floor).
Corpus make_grammars(Index words, Index sentences);

/// Rows of `length` tokens, as a model reads them.
struct Rows {
  Index length = 0;
  std::vector<int> ids, labels;  ///< [rows · length]; a label below zero does not count
  std::vector<int> documents;    ///< [rows · length] numbers that separate contexts; below zero: padding
  std::vector<int> domains;      ///< [rows · length]
  /// 0: a row's text begins with it, but for its documents. Else row s + t · streams goes on where row s + (t − 1) ·
  /// streams ends.
  Index streams = 0;

  [[nodiscard]] Index count() const { return static_cast<Index>(ids.size()) / length; }
};

/// One sentence a row, cut after `length` words (the first paper).
Rows sentence_rows(const Corpus& corpus, Split split, Index length);
/// Text one row after another, documents side by side (the second paper).
Rows text_rows(const Corpus& corpus, Split split, Index length);

/// All text of a split in at most `streams` pieces side by side, one block of `length` tokens after another, whatever
/// the documents (the code that the second paper builds on). What is left of a piece behind its last whole block is
/// left out. Throws ConfigError for a split without a whole block.
Rows stream_rows(const Corpus& corpus, Split split, Index length, Index streams);

/// Adds a row of the tokens from `token` on.
void append(Rows& rows, const Rows& from, Index token);

/// The same rows as the first paper's research code has them: its decoder's mask includes the diagonal, and its input
/// is its target, so that a model reads at each place the word that it is to predict there.
Rows copied(Rows rows);

/// Nats per counted label that a model which knew the grammars would need: the floor for these rows.
double grammar_floor(const Corpus& corpus, const Rows& rows);

/// The word-swap attack of Mutual-Inform SMoE: a share of the words a model reads becomes "AAA", which no vocabulary
/// has. Labels stay.
Rows attacked(Rows rows, double share, std::uint64_t seed);

}  // namespace language_model
