#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <neuroinhib/data/image_set.hpp>

/// The IDX format of MNIST and Fashion-MNIST, plain or gzip. Opt-in: needs zlib.
namespace neuroinhib::data {

/// The bytes of an IDX file of unsigned bytes, and their extents.
struct Idx {
  std::vector<Index> extents;
  std::vector<std::uint8_t> bytes;
};

namespace detail {

class IdxReader {
 public:
  explicit IdxReader(const std::filesystem::path& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    if (!file_)
      fail<IoError>("reading " + path.string(), "a readable IDX file", "none", "check the path and its rights");
  }

  [[nodiscard]] Idx read() {
    std::uint8_t magic[4];
    take(magic, 4, "its 4 magic bytes");
    if (magic[0] != 0 || magic[1] != 0 || magic[2] != kUnsignedByte || magic[3] < 1 || magic[3] > 4)
      refuse("magic bytes 0 0 8 d, with 1 ≤ d ≤ 4 extents", std::to_string(magic[0]) + " " + std::to_string(magic[1]) +
                                                                " " + std::to_string(magic[2]) + " " +
                                                                std::to_string(magic[3]));
    Idx idx;
    std::size_t size = 1;
    for (int axis = 0; axis < magic[3]; ++axis) {
      std::uint8_t b[4];
      take(b, 4, "extent " + std::to_string(axis));
      idx.extents.push_back(Index{b[0]} << 24 | Index{b[1]} << 16 | Index{b[2]} << 8 | Index{b[3]});
      if (__builtin_mul_overflow(size, static_cast<std::size_t>(idx.extents.back()), &size))
        refuse("extents that fit into memory", "their product overflows");
    }
    // Block by block: a header that promises too much costs no memory.
    constexpr std::size_t kBlock = std::size_t{1} << 20;
    while (idx.bytes.size() < size) {
      const std::size_t have = idx.bytes.size(), next = std::min(kBlock, size - have);
      idx.bytes.resize(have + next);
      take(idx.bytes.data() + have, next, std::to_string(size) + " bytes of data");
    }
    std::uint8_t extra = 0;
    if (gzread(file_.get(), &extra, 1) != 0)
      refuse("the end after " + std::to_string(size) + " bytes of data", "more bytes");
    return idx;
  }

 private:
  static constexpr int kUnsignedByte = 8;
  struct Close {
    void operator()(gzFile_s* file) const { gzclose(file); }
  };

  void take(std::uint8_t* target, std::size_t bytes, const std::string& what) {
    const int got = gzread(file_.get(), target, static_cast<unsigned>(bytes));
    if (got < 0) refuse(what, "a damaged gzip stream");
    if (static_cast<std::size_t>(got) != bytes) refuse(what, "the end of a truncated file");
  }
  [[noreturn]] void refuse(const std::string& expected, const std::string& actual) const {
    fail<FormatError>("IDX file " + path_.string(), expected, actual, "fetch the file again");
  }

  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace detail

/// Throws IoError, and FormatError for a wrong magic, a truncated, damaged or overlong file.
[[nodiscard]] inline Idx read_idx(const std::filesystem::path& path) {
  return detail::IdxReader(path).read();
}

/// "train" or "t10k" images and labels from a folder that holds the four IDX files, plain or .gz, directly or under
/// mnist/. Throws IoError naming the places looked at, and FormatError where images and labels do not match.
[[nodiscard]] inline ImageSet load_images(const std::filesystem::path& folder, const std::string& part) {
  const auto locate = [&](const std::string& name) {
    for (const auto& base : {folder, folder / "mnist"})
      for (const char* ending : {"", ".gz"})
        if (std::filesystem::exists(base / (name + ending))) return base / (name + ending);
    fail<IoError>("loading images from " + folder.string(), name + " or " + name + ".gz, there or under mnist/",
                  "neither", "name the folder that holds the IDX files");
  };
  const auto image_path = locate(part + "-images-idx3-ubyte"), label_path = locate(part + "-labels-idx1-ubyte");
  Idx images = read_idx(image_path);
  const Idx labels = read_idx(label_path);
  const auto refuse = [](const std::filesystem::path& path, const std::string& expected, const std::string& actual) {
    fail<FormatError>("IDX file " + path.string(), expected, actual, "use images and labels of one data set");
  };
  if (images.extents.size() != 3) refuse(image_path, "3 extents", std::to_string(images.extents.size()));
  if (labels.extents.size() != 1) refuse(label_path, "1 extent", std::to_string(labels.extents.size()));
  if (images.extents[0] != labels.extents[0])
    refuse(label_path, std::to_string(images.extents[0]) + " labels, one an image", std::to_string(labels.extents[0]));
  return {folder.string(),
          images.extents[1],
          images.extents[2],
          std::move(images.bytes),
          {labels.bytes.begin(), labels.bytes.end()},
          std::vector<std::uint8_t>(labels.bytes.size(), 0)};
}

}  // namespace neuroinhib::data
