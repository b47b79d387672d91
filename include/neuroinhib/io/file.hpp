#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <unistd.h>
#endif

#include <neuroinhib/core/error.hpp>

namespace neuroinhib::io {

/// Replaces a file whole or not at all: what is written goes beside it, and takes its name only in commit(), after the
/// disk has it. Any failure throws IoError, removes the part written and leaves the old file as it was.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path) : path_(path), beside_(path.string() + ".part") {
    file_.reset(std::fopen(beside_.c_str(), "wb"));
    if (!file_) refuse("open");
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() {
    if (!committed_) discard();
  }

  void write(const void* data, std::size_t bytes) {
    if (bytes > 0 && std::fwrite(data, 1, bytes, file_.get()) != bytes) refuse("write to");
  }
  void write(std::string_view text) { write(text.data(), text.size()); }

  void commit() {
    if (std::fflush(file_.get()) != 0) refuse("write to");
#if defined(__unix__) || defined(__APPLE__)
    if (::fsync(::fileno(file_.get())) != 0) refuse("flush");
#endif
    if (std::fclose(file_.release()) != 0) refuse("close");
    std::error_code error;
    std::filesystem::rename(beside_, path_, error);
    if (error) refuse("rename", error.message());
    committed_ = true;
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  void discard() {
    file_.reset();
    std::error_code ignored;
    std::filesystem::remove(beside_, ignored);
  }
  [[noreturn]] void refuse(const char* what, const std::string& reason = std::strerror(errno)) {
    discard();
    fail<IoError>("saving " + path_.string(), std::string("to ") + what + " " + beside_.string(), reason,
                  "make room or choose another folder; a file of that name is left as it was");
  }

  std::filesystem::path path_, beside_;
  std::unique_ptr<std::FILE, Close> file_;
  bool committed_ = false;
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
