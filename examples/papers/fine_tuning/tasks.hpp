#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "../language_model/corpus.hpp"

/// Sentences with classes, as fine-tuning reads them.
namespace fine_tuning {

using language_model::Corpus;
using language_model::Index;
using language_model::Rows;
using language_model::Split;

/// Texts with their classes by name.
struct Example {
  std::string text, label;
};
using Examples = std::vector<Example>;

/// A task's sentences as a model reads them: a class stands at each one's last word.
struct Task {
  std::string name;
  std::vector<std::string> classes;
  std::array<Rows, 3> splits;  ///< by Split
  double most = 0;             ///< share of the test sentences that are of their most frequent class

  [[nodiscard]] const Rows& rows(Split split) const { return splits[static_cast<std::size_t>(split)]; }
};

/// Lines "text<tab>class" behind a line "sentence<tab>label", in any order of further columns (SST-2 of GLUE). Throws
/// IoError, and FormatError for a file without these columns or with a line that lacks one.
Examples read_tsv(const std::filesystem::path& file);
/// The same between commas, behind a line "text,category" (BANKING77): a field with commas, quotes or ends of lines
/// stands between quotes.
Examples read_csv(const std::filesystem::path& file);
/// Trees of the Stanford Sentiment Treebank, one a line, such as "(3 (2 It) (4 works))": its words, and the class at
/// its root.
Examples read_trees(const std::filesystem::path& file);
/// Folders of text files, one a class and a text a file (IMDB's pos and neg; unsup is left out).
Examples read_folders(const std::filesystem::path& folder);

/// The tasks in a user's folder, by name: of each folder in it, train.tsv, train.csv, train.txt (trees) or a folder
/// train, with dev and test beside it. Without dev, every tenth training example validates; without test (SST-2's has
/// no classes), dev is the test. Throws ConfigError for a folder without tasks, and for a task with fewer than two
/// classes, or with a class that its training examples lack.
std::vector<Task> read_tasks(const std::filesystem::path& folder, const Corpus& corpus, Index length);
/// "topic": which domain a sentence of the corpus is from. Sentences of the corpus's own splits, at most so many of
/// each domain; 0: all.
Task topic(const Corpus& corpus, Index length, Index most);

}  // namespace fine_tuning
