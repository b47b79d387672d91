#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <neuroinhib/core/error.hpp>

namespace neuroinhib::io {
namespace detail {

/// An open file that other processes see as held, until it is closed or its process ends, however it ends.
class HeldFile {
 public:
  HeldFile() = default;
  /// Opens for reading and writing; errno says why where there is no file then.
  HeldFile(const std::filesystem::path& path, int flags)
      : descriptor_(::open(path.c_str(), O_RDWR | O_CLOEXEC | flags, 0666)) {}
  HeldFile(HeldFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  HeldFile& operator=(HeldFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~HeldFile() { close(); }

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  void close() {
    if (is_open()) ::close(std::exchange(descriptor_, -1));
  }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  /// Whether nobody else holds it; it is ours then.
  [[nodiscard]] bool try_hold() const { return ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0; }
  void hold() const { (void)::flock(descriptor_, LOCK_EX); }
  /// Whether that name still means this file: another process may have removed it between opening and holding.
  [[nodiscard]] bool is_at(const std::filesystem::path& path) const {
    struct stat mine{}, there{};
    return ::fstat(descriptor_, &mine) == 0 && ::stat(path.c_str(), &there) == 0 && mine.st_ino == there.st_ino &&
           mine.st_dev == there.st_dev;
  }

 private:
  int descriptor_ = -1;
};

}  // namespace detail

/// Replaces a file whole or not at all: what is written goes beside it, and takes its name only in commit(), after the
/// disk has it. Any failure throws IoError, removes the part written and leaves the old file as it was.
/// Several writers of one file do not disturb each other: each has a part of its own (name.part, name.part1, …), and
/// the last commit stays. A part that a killed writer left is removed by the next writer of that file.
class AtomicFile {
 public:
  /// Begins to write beside `path`. Throws IoError where its folder cannot be written.
  explicit AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
    do {
      part_.close();
      make_part();
      part_.hold();
    } while (!part_.is_at(part_path_));
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() { discard(); }

  /// Appends. Throws IoError.
  void write(const void* data, std::size_t bytes) {
    for (const char* rest = static_cast<const char*>(data); bytes > 0;) {
      const ssize_t written = ::write(part_.descriptor(), rest, bytes);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) refuse("write to");
      rest += written;
      bytes -= static_cast<std::size_t>(written);
    }
  }
  void write(std::string_view text) { write(text.data(), text.size()); }

  void commit() {
    if (::fsync(part_.descriptor()) != 0) refuse("flush");
    // Renamed while it is held: a part that nobody holds would pass for a killed writer's.
    if (std::rename(part_path_.c_str(), path_.c_str()) != 0) refuse("rename");
    part_.close();
  }

 private:
  /// Under the first of its names that no living writer has.
  void make_part() {
    for (int number = 0; !part_.is_open(); ++number) {
      part_path_ = path_.string() + ".part" + (number > 0 ? std::to_string(number) : "");
      remove_abandoned_part();
      part_ = detail::HeldFile(part_path_, O_CREAT | O_EXCL);
      if (!part_.is_open() && errno != EEXIST) refuse("open");
    }
  }
  void remove_abandoned_part() const {
    const detail::HeldFile part(part_path_, O_NOFOLLOW);
    if (part.is_open() && part.try_hold() && part.is_at(part_path_)) ::unlink(part_path_.c_str());
  }
  void discard() {
    if (part_.is_open()) ::unlink(part_path_.c_str());
    part_.close();
  }
  [[noreturn]] void refuse(const char* what) {
    const std::string reason = std::strerror(errno);
    discard();
    fail<IoError>("saving " + path_.string(), std::string("to ") + what + " " + part_path_.string(), reason,
                  "make room or choose another folder; a file of that name is left as it was");
  }

  std::filesystem::path path_, part_path_;
  detail::HeldFile part_;
};

/// Keeps other runs out of a folder as long as it lives: a second lock on the folder, of this process or another,
/// throws IoError and says who has it. Ends with the process, however that ends. What is in the folder is not protected
/// from programs that do not ask for the lock.
class FolderLock {
 public:
  /// Throws IoError where another lock is held, or the folder cannot be written.
  explicit FolderLock(const std::filesystem::path& folder) : path_(folder / ".lock") {
    do {
      file_ = detail::HeldFile(path_, O_CREAT);
      if (!file_.is_open()) refuse("a folder that can be written", std::strerror(errno));
      if (!file_.try_hold()) {
        if (errno == EWOULDBLOCK) refuse("a folder that no other run writes to", holder());
        refuse("a file system with locks", std::strerror(errno));
      }
    } while (!file_.is_at(path_));
    sign();
  }
  FolderLock(FolderLock&&) = default;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock() {
    if (file_.is_open()) ::unlink(path_.c_str());
  }

 private:
  /// For who comes second to read.
  void sign() const {
    std::array<char, 256> host{};
    (void)::gethostname(host.data(), host.size() - 1);
    const std::string who = "process " + std::to_string(::getpid()) + " on " + host.data();
    if (::ftruncate(file_.descriptor(), 0) != 0 || ::write(file_.descriptor(), who.data(), who.size()) < 0)
      refuse("a folder that can be written", std::strerror(errno));
  }
  [[nodiscard]] std::string holder() const {
    std::array<char, 512> who{};
    return ::read(file_.descriptor(), who.data(), who.size() - 1) > 0 ? who.data() : "another process";
  }
  [[noreturn]] void refuse(const std::string& expected, const std::string& actual) const {
    fail<IoError>("folder " + path_.parent_path().string(), expected, actual,
                  "wait until that run has ended, or choose another folder");
  }

  std::filesystem::path path_;
  detail::HeldFile file_;
};

/// Writes a whole file at once, atomically.
inline void write_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

/// The whole content of a file. Throws IoError.
[[nodiscard]] inline std::string read_file(const std::filesystem::path& path) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const auto refuse = [&] {
    fail<IoError>("reading " + path.string(), "a readable file", std::strerror(errno), "check the path and its rights");
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (!file) refuse();
  std::string content;
  char block[1 << 16];
  for (std::size_t got; (got = std::fread(block, 1, sizeof block, file.get())) > 0;) content.append(block, got);
  if (std::ferror(file.get()) != 0) refuse();
  return content;
}

}  // namespace neuroinhib::io
