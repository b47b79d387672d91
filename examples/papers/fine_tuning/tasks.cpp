#include "tasks.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include <neuroinhib/core/error.hpp>
#include <neuroinhib/io/file.hpp>

#include "../language_model/text.hpp"
#include "../words.hpp"

namespace fine_tuning {

using language_model::kEnd;
using language_model::kUnknown;
using neuroinhib::ConfigError;
using neuroinhib::fail;
using neuroinhib::FormatError;

namespace {

[[noreturn]] void refuse(const std::filesystem::path& file, std::size_t line, const std::string& expected,
                         const std::string& got) {
  constexpr std::size_t kLongest = 60;
  fail<FormatError>(file.string() + ", line " + std::to_string(line), expected,
                    '"' + got.substr(0, kLongest) + (got.size() > kLongest ? "…" : "") + '"',
                    "correct the line, or name another file");
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::vector<std::string> lines;
  language_model::TextNotes notes;
  language_model::for_each_line(file, notes, [&](std::string& line) {
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(std::move(line));
  });
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

/// Records of fields under a line of names: those of two columns.
class Columns {
 public:
  Columns(std::filesystem::path file, std::string text, std::string label)
      : file_(std::move(file)), names_{std::move(text), std::move(label)} {}

  void add(std::size_t line, const std::vector<std::string>& fields) {
    if (!places_) {
      places_.emplace();
      for (std::size_t c = 0; c < 2; ++c) {
        const auto found = std::find(fields.begin(), fields.end(), names_[c]);
        if (found == fields.end())
          refuse(file_, line, "names of columns, " + names_[0] + " and " + names_[1] + " among them",
                 fields.empty() ? "" : fields[0]);
        (*places_)[c] = static_cast<std::size_t>(found - fields.begin());
      }
      columns_ = fields.size();
      return;
    }
    if (fields.size() != columns_)
      refuse(file_, line, std::to_string(columns_) + " fields", fields.empty() ? "" : fields[0]);
    if (fields[(*places_)[1]].empty()) refuse(file_, line, "a class in column " + names_[1], fields[0]);
    examples_.push_back({fields[(*places_)[0]], fields[(*places_)[1]]});
  }
  [[nodiscard]] Examples finish() {
    if (examples_.empty()) refuse(file_, 1, "names of columns, and examples below", "");
    return std::move(examples_);
  }

 private:
  std::filesystem::path file_;
  std::array<std::string, 2> names_;
  std::optional<std::array<std::size_t, 2>> places_;
  std::size_t columns_ = 0;
  Examples examples_;
};

std::vector<std::string> split_at(const std::string& line, char separator) {
  std::vector<std::string> fields;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find(separator, begin), line.size());
    fields.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return fields;
}

}  // namespace

Examples read_tsv(const std::filesystem::path& file) {
  Columns columns(file, "sentence", "label");
  std::size_t number = 0;
  for (const std::string& line : lines_of(file)) columns.add(++number, split_at(line, '\t'));
  return columns.finish();
}

Examples read_csv(const std::filesystem::path& file) {
  Columns columns(file, "text", "category");
  std::vector<std::string> fields(1);
  std::size_t number = 0;
  bool quoted = false;
  for (const std::string& line : lines_of(file)) {
    ++number;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
        fields.back() += line[++i];
      else if (line[i] == '"')
        quoted = !quoted;
      else if (line[i] == ',' && !quoted)
        fields.emplace_back();
      else
        fields.back() += line[i];
    }
    if (quoted) {
      fields.back() += ' ';
      continue;
    }
    columns.add(number, fields);
    fields.assign(1, "");
  }
  if (quoted) refuse(file, number, "a closing quote", fields.back());
  return columns.finish();
}

Examples read_trees(const std::filesystem::path& file) {
  Examples examples;
  std::size_t number = 0;
  for (const std::string& line : lines_of(file)) {
    ++number;
    Example example;
    int depth = 0;
    for (std::size_t i = 0; i < line.size();) {
      const char c = line[i];
      if (c == '(' || c == ')') {
        depth += c == '(' ? 1 : -1;
        ++i;
        if (depth == 0 && i < line.size()) depth = -1;  // something behind the tree
        if (depth < 0) break;
        continue;
      }
      const std::size_t end = std::min(line.find_first_of("() ", i), line.size());
      const std::string word = line.substr(i, end - i);
      const bool is_class = i > 0 && line[i - 1] == '(';
      if (is_class && (word.size() != 1 || word[0] < '0' || word[0] > '4'))
        refuse(file, number, "a class from 0 to 4 behind (", word);
      if (is_class && example.label.empty()) example.label = word;
      if (!is_class && !word.empty()) example.text += (example.text.empty() ? "" : " ") + word;
      i = end + (end < line.size() && line[end] == ' ' ? 1 : 0);
    }
    if (depth != 0 || example.label.empty()) refuse(file, number, "a tree such as (3 (2 It) (4 works))", line);
    examples.push_back(std::move(example));
  }
  if (examples.empty()) refuse(file, 1, "trees, one a line", "");
  return examples;
}

Examples read_folders(const std::filesystem::path& folder) {
  Examples examples;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.is_directory() && entry.path().filename() != "unsup")
      for (const auto& text : std::filesystem::directory_iterator(entry.path()))
        if (text.path().extension() == ".txt") files.push_back(text.path());
  if (files.empty())
    fail<ConfigError>(folder.string(), "a folder of .txt files for each class", "none", "name another folder");
  std::sort(files.begin(), files.end());
  for (const auto& file : files)
    examples.push_back({neuroinhib::io::read_file(file), file.parent_path().filename().string()});
  return examples;
}

namespace {

/// A row of at most `length` tokens: the words behind <eos>, and the class at the last of them.
void add_row(Rows& rows, std::span<const int> words, int label) {
  const Index used = std::min(rows.length, static_cast<Index>(words.size()) + 1);
  for (Index i = 0; i < rows.length; ++i) {
    rows.ids.push_back(i > 0 && i < used ? words[static_cast<std::size_t>(i - 1)] : kEnd);
    rows.labels.push_back(i == used - 1 ? label : -1);
    rows.documents.push_back(i < used ? 0 : -1);
    rows.domains.push_back(0);
  }
}

double most_frequent(const Rows& rows, std::size_t classes) {
  std::vector<double> counts(classes);
  for (const int label : rows.labels)
    if (label >= 0) counts[static_cast<std::size_t>(label)] += 1;
  return *std::max_element(counts.begin(), counts.end()) / static_cast<double>(rows.count());
}

/// The words of a text as a corpus numbers them.
class Numbers {
 public:
  explicit Numbers(const Corpus& corpus) {
    for (std::size_t i = 0; i < corpus.vocabulary.size(); ++i) numbers_[corpus.vocabulary[i]] = static_cast<int>(i);
  }
  [[nodiscard]] std::vector<int> of(std::string text) {
    language_model::TextNotes notes;
    language_model::repair_utf8(text, notes);
    std::vector<int> words;
    for (const std::string& word : reader_.words(text)) {
      const auto found = numbers_.find(word);
      words.push_back(found == numbers_.end() ? kUnknown : found->second);
    }
    return words;
  }

 private:
  std::unordered_map<std::string, int> numbers_;
  language_model::WordReader reader_;
};

/// A split of a task's folder: whichever of the forms is there.
std::optional<Examples> read_split(const std::filesystem::path& folder, const std::string& name) {
  const auto file = [&](const char* ending) { return folder / (name + ending); };
  if (std::filesystem::exists(file(".tsv"))) return read_tsv(file(".tsv"));
  if (std::filesystem::exists(file(".csv"))) return read_csv(file(".csv"));
  if (std::filesystem::exists(file(".txt"))) return read_trees(file(".txt"));
  if (std::filesystem::is_directory(folder / name)) return read_folders(folder / name);
  return std::nullopt;
}

Task read_task(const std::filesystem::path& folder, Numbers& numbers, Index length) {
  Task task{folder.filename().string(), {}, {}, 0};
  const auto refuse_task = [&](const std::string& expected, const std::string& got) {
    fail<ConfigError>("task " + folder.string(), expected, got, "complete the folder, or take it out of --tasks");
  };
  Examples training = read_split(folder, "train").value();
  auto validation = read_split(folder, "dev");
  // GLUE's test files have no classes.
  const bool has_test = !std::filesystem::exists(folder / "test.tsv") ||
                        lines_of(folder / "test.tsv").at(0).find("label") != std::string::npos;
  auto test = has_test ? read_split(folder, "test") : std::nullopt;
  if (!test) test = std::exchange(validation, std::nullopt);
  if (!test) refuse_task("test or dev beside train", "neither");
  if (!validation) {
    validation.emplace();
    Examples rest;
    for (std::size_t i = 0; i < training.size(); ++i) (i % 10 == 9 ? *validation : rest).push_back(training[i]);
    training = std::move(rest);
  }
  std::map<std::string, int> classes;
  for (const Example& example : training) classes.emplace(example.label, 0);
  for (auto& [name, number] : classes) {
    number = static_cast<int>(task.classes.size());
    task.classes.push_back(name);
  }
  if (classes.size() < 2) refuse_task("two classes or more", std::to_string(classes.size()));
  for (const auto& [split, examples] :
       {std::pair{Split::training, &training}, {Split::validation, &*validation}, {Split::test, &*test}}) {
    Rows& rows = task.splits[static_cast<std::size_t>(split)];
    rows.length = length;
    for (const Example& example : *examples) {
      if (!classes.contains(example.label))
        refuse_task("the classes of its training examples alone", '"' + example.label + '"');
      add_row(rows, numbers.of(example.text), classes.at(example.label));
    }
    if (examples->empty()) refuse_task("ten training examples or more", "too few to validate");
  }
  task.most = most_frequent(task.rows(Split::test), task.classes.size());
  return task;
}

}  // namespace

std::vector<Task> read_tasks(const std::filesystem::path& folder, const Corpus& corpus, Index length) {
  std::vector<std::filesystem::path> folders;
  if (std::filesystem::is_directory(folder))
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      for (const char* train : {"train.tsv", "train.csv", "train.txt", "train"})
        if (std::filesystem::exists(entry.path() / train)) {
          folders.push_back(entry.path());
          break;
        }
  if (folders.empty())
    fail<ConfigError>("--tasks " + folder.string(), "folders with train.tsv, train.csv, train.txt or train in them",
                      "none", "name the folder that holds sst2, sst5, imdb, banking77 or tasks of your own");
  std::sort(folders.begin(), folders.end());
  Numbers numbers(corpus);
  std::vector<Task> tasks;
  for (const auto& one : folders) tasks.push_back(read_task(one, numbers, length));
  return tasks;
}

Task topic(const Corpus& corpus, Index length, Index most) {
  Task task{"topic", corpus.domains, {}, 0};
  std::array<std::vector<Index>, 3> taken;
  for (auto& counts : taken) counts.resize(corpus.domains.size());
  for (Rows& rows : task.splits) rows.length = length;
  for (const auto& document : corpus.documents) {
    const auto split = static_cast<std::size_t>(document.split);
    Index& count = taken[split][static_cast<std::size_t>(document.domain)];
    for (auto begin = document.words.begin(); begin != document.words.end() && (most == 0 || count < most); ++count) {
      const auto end = std::find(begin, document.words.end(), kEnd);
      add_row(task.splits[split], {begin, end}, document.domain);
      begin = end + 1;
    }
  }
  task.most = most_frequent(task.rows(Split::test), task.classes.size());
  return task;
}

}  // namespace fine_tuning
