#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include <neuroinhib/core/error.hpp>
#include <neuroinhib/io/file.hpp>

/// What the fuzz targets share. A target feeds its bytes to a reader and checks what must hold of everything it
/// accepts; what it refuses, it must refuse with one of our errors.
namespace fuzzing {

using namespace neuroinhib;

/// Ends the program, so that the input is kept as a finding.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

/// Whether the action ran through; false where it threw one of our errors. Others, such as bad_alloc, are findings.
template <class Action>
bool accepted(const Action& action) {
  try {
    action();
    return true;
  } catch (const Error& error) {
    require(std::string_view(error.what()).find(": expected ") != std::string_view::npos,
            "an error says what it expected");
    return false;
  }
}

/// A folder of this process in memory, whose files are overwritten from input to input.
class Folder {
 public:
  Folder() {
    std::string pattern = "/dev/shm/neuroinhib-fuzz-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::filesystem::path path(const std::string& name) const { return path_ / name; }
  /// The file of that name, with that content.
  [[nodiscard]] std::filesystem::path file(const std::string& name, std::string_view content) const {
    std::FILE* file = std::fopen(path(name).c_str(), "wb");
    require(file != nullptr && std::fwrite(content.data(), 1, content.size(), file) == content.size() &&
                std::fclose(file) == 0,
            "a file in memory can be written");
    return path(name);
  }

 private:
  std::filesystem::path path_;
};

[[nodiscard]] inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace fuzzing
