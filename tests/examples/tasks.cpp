// Sentences with classes for fine-tuning: the forms that SST-2, SST-5, BANKING77 and IMDB come in, what is wrong in a
// file told in a sentence, and rows as a model reads them.

#include "../../examples/papers/fine_tuning/tasks.hpp"

#include <fstream>

#include "support.hpp"

using namespace testing;
using namespace fine_tuning;

namespace {

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}
std::vector<std::pair<std::string, std::string>> pairs(const Examples& examples) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& [text, label] : examples) all.emplace_back(text, label);
  return all;
}
using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Three domains of three documents each at least, so that every split has some.
const Corpus& corpus() {
  static const Corpus made = language_model::make_grammars(60, 2000);
  return made;
}

}  // namespace

TEST_CASE("sentences between tabs are read by the names of their columns") {
  const TemporaryFolder folder;
  write(folder / "train.tsv", "id\tsentence\tlabel\r\n1\ta good film\t1\r\n2\tdull , slow\t0\r\n\n");
  CHECK(pairs(read_tsv(folder / "train.tsv")) == Pairs{{"a good film", "1"}, {"dull , slow", "0"}});
  const auto refused = [&](const std::string& text, const std::vector<std::string>& words) {
    write(folder / "bad.tsv", text);
    check_error<FormatError>([&] { (void)read_tsv(folder / "bad.tsv"); }, words);
  };
  refused("text\tlabel\na\t1\n", {"bad.tsv, line 1", "sentence and label", "got \"text\""});
  refused("sentence\tlabel\ngood\t1\nbad\n", {"line 3", "2 fields", "got \"bad\""});
  refused("sentence\tlabel\ngood\t\n", {"line 2", "a class in column label"});
  refused("", {"names of columns, and examples below"});
  refused("sentence\tlabel\n", {"examples below"});
  CHECK_THROWS_AS((void)read_tsv(folder / "none.tsv"), IoError);
}

TEST_CASE("sentences between commas may have quotes, commas and ends of lines") {
  const TemporaryFolder folder;
  write(folder / "train.csv", "text,category\nWhere is my card?,card_arrival\n\"Why, \"\"sir\"\",\nso late?\",late\n");
  CHECK(pairs(read_csv(folder / "train.csv")) ==
        Pairs{{"Where is my card?", "card_arrival"}, {"Why, \"sir\", so late?", "late"}});
  write(folder / "bad.csv", "text,category\n\"never closed,a\nb,c\n");
  check_error<FormatError>([&] { (void)read_csv(folder / "bad.csv"); }, {"bad.csv, line 3", "a closing quote"});
}

TEST_CASE("trees are read as their words and the class at the root") {
  const TemporaryFolder folder;
  write(folder / "train.txt", "(3 (2 It) (4 (3 works) (2 .)))\n(0 (1 Not) (2 -LRB-))\n");
  CHECK(pairs(read_trees(folder / "train.txt")) == Pairs{{"It works .", "3"}, {"Not -LRB-", "0"}});
  for (const char* bad : {"(3 (2 It) (4 works)", "(3 It))", "It works", "(5 It)", "(3 It) (2 works)", "((", ")("}) {
    write(folder / "bad.txt", std::string("(1 fine)\n") + bad + "\n");
    check_error<FormatError>([&] { (void)read_trees(folder / "bad.txt"); }, {"bad.txt, line 2"});
  }
}

TEST_CASE("tasks are the folders that have a train, with a dev or test beside it") {
  const TemporaryFolder folder;
  std::string many = "sentence\tlabel\n";
  for (int i = 0; i < 20; ++i) many += i % 2 == 0 ? "alpha\ta\n" : "alpha\tb\n";
  write(folder / "sst2/train.tsv", many);
  write(folder / "sst2/dev.tsv", "sentence\tlabel\nalpha\tb\nbeta\ta\ngamma\ta\n");
  write(folder / "sst2/test.tsv", "index\tsentence\n0\tno class\n");  // as GLUE's
  for (const char* split : {"train", "test"})
    for (const char* label : {"neg", "pos", "unsup"})
      for (int i = 0; i < 10; ++i)
        write(folder / "imdb" / split / label / (std::to_string(i) + ".txt"), std::string("a ") + label + " film");
  write(folder / "notes.txt", "no task");
  const auto tasks = read_tasks(folder.path, corpus(), 4);
  REQUIRE(tasks.size() == 2);
  CHECK(tasks[0].name == "imdb");
  CHECK(tasks[0].classes == std::vector<std::string>{"neg", "pos"});
  CHECK(tasks[0].rows(Split::training).count() == 18);
  CHECK(tasks[0].rows(Split::validation).count() == 2);
  CHECK(tasks[0].rows(Split::test).count() == 20);
  CHECK(tasks[1].rows(Split::test).count() == 3);
  CHECK(tasks[1].most == doctest::Approx(2.0 / 3));
  const Rows& rows = tasks[1].rows(Split::test);
  CHECK(std::vector<int>(rows.labels.begin(), rows.labels.begin() + 4) == std::vector<int>{-1, 1, -1, -1});
  CHECK(std::vector<int>(rows.documents.begin(), rows.documents.begin() + 4) == std::vector<int>{0, 0, -1, -1});

  const auto refused = [&](const std::vector<std::string>& words) {
    check_error<ConfigError>([&] { (void)read_tasks(folder.path, corpus(), 4); }, words);
  };
  write(folder / "sst2/dev.tsv", "sentence\tlabel\nword1\tc\n");
  refused({"sst2", "the classes of its training examples alone", "got \"c\""});
  std::filesystem::remove(folder / "sst2/dev.tsv");
  refused({"sst2", "test or dev beside train", "neither"});
  write(folder / "sst2/train.tsv", "sentence\tlabel\nword1\tc\nword2\tc\n");
  write(folder / "sst2/dev.tsv", "sentence\tlabel\nword1\tc\n");
  refused({"sst2", "two classes or more", "got 1"});
  check_error<ConfigError>([&] { (void)read_tasks(folder / "sst2", corpus(), 4); }, {"--tasks", "sst2, sst5, imdb"});
  check_error<ConfigError>([&] { (void)read_tasks(folder / "nowhere", corpus(), 4); }, {"--tasks"});
}

TEST_CASE("a sentence's topic is its domain, learnt from the corpus's own training sentences") {
  const Task task = topic(corpus(), 8, 20);
  CHECK(task.classes == corpus().domains);
  const Rows& rows = task.rows(Split::training);
  std::vector<int> counts(task.classes.size());
  for (Index row = 0; row < rows.count(); ++row) {
    int labels = 0;
    for (Index i = row * 8; i < (row + 1) * 8; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (rows.labels[at] < 0) continue;
      ++labels;
      ++counts[static_cast<std::size_t>(rows.labels[at])];
      CHECK(rows.documents[at] == 0);
      CHECK((i + 1 == (row + 1) * 8 || rows.documents[at + 1] == -1));
    }
    CHECK(labels == 1);
  }
  CHECK(*std::max_element(counts.begin(), counts.end()) == 20);
}
