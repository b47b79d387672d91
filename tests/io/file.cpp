// Files and folders that several writers share, and writers that are killed.

#include <neuroinhib/io/file.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <thread>

#include "support.hpp"

using namespace testing;

namespace {

/// A process that does something, says so, and then waits to be killed.
class Child {
 public:
  explicit Child(const std::function<void()>& action) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    process_ = fork();
    if (process_ == 0) {
      action();
      if (::write(ready[1], "x", 1) != 1) _exit(1);
      for (;;) pause();
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  [[nodiscard]] int process() const { return process_; }
  void kill() const {
    ::kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }

 private:
  int process_;
};

std::ptrdiff_t files_in(const std::filesystem::path& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

}  // namespace

TEST_CASE("two writers of one file each publish what they wrote, and the last one stays") {
  const TemporaryFolder folder;
  io::AtomicFile first(folder / "f"), second(folder / "f");
  first.write("written by the first");
  second.write("by the second");
  first.commit();
  CHECK(io::read_file(folder / "f") == "written by the first");
  second.commit();
  CHECK(io::read_file(folder / "f") == "by the second");
  CHECK(files_in(folder.path) == 1);
}

TEST_CASE("a reader never sees a mixture of what several threads write") {
  const TemporaryFolder folder;
  const auto content = [](int writer) {
    return std::string(static_cast<std::size_t>(1000 * writer + 1), static_cast<char>('a' + writer));
  };
  io::write_file(folder / "f", content(0));
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 4; ++writer)
    writers.emplace_back([&, writer] {
      for (int i = 0; i < 25; ++i) io::write_file(folder / "f", content(writer));
    });
  int torn = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string seen = io::read_file(folder / "f");
    torn += seen.empty() || seen != content(seen[0] - 'a');
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(torn == 0);
  CHECK(files_in(folder.path) == 1);
}

TEST_CASE("what killed writers leave is removed by the next writer, and a living writer's part is not") {
  const TemporaryFolder folder;
  std::optional<io::AtomicFile> mine;
  const auto begin = [&] {
    mine.emplace(folder / "f");
    mine->write("never whole");
  };
  for (int i = 0; i < 3; ++i) {
    const Child one(begin), two(begin);
    one.kill();
    two.kill();
    CHECK(files_in(folder.path) == 2);
  }
  const Child living(begin);
  CHECK(files_in(folder.path) == 2);  // its own part, and one that a killed writer left under a later name
  io::write_file(folder / "f", "whole");
  CHECK(std::filesystem::exists(folder / "f.part"));
  CHECK(files_in(folder.path) == 2);
  living.kill();
  io::write_file(folder / "f", "whole again");
  CHECK(files_in(folder.path) == 1);
  CHECK(io::read_file(folder / "f") == "whole again");
}

TEST_CASE("a folder is locked against every second run, and free again when the first ends or is killed") {
  const TemporaryFolder folder;
  const auto check_locked = [&](int process) {
    check_error<IoError>(
        [&] { const io::FolderLock second(folder.path); },
        {folder.path.string(), "no other run", "process " + std::to_string(process), "another folder"});
  };
  {
    io::FolderLock lock(folder.path);
    check_locked(getpid());
    const io::FolderLock moved = std::move(lock);
    check_locked(getpid());
  }
  CHECK(files_in(folder.path) == 0);
  std::optional<io::FolderLock> lock;
  const Child child([&] { lock.emplace(folder.path); });
  check_locked(child.process());
  child.kill();
  lock.emplace(folder.path);
  check_locked(getpid());
}

TEST_CASE("a folder that is not there cannot be locked") {
  check_error<IoError>([] { const io::FolderLock lock("/nonexistent/folder"); },
                       {"/nonexistent/folder", "No such file or directory"});
}
