#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include <neuroinhib/data/image_set.hpp>
#include <neuroinhib/io/gzip.hpp>

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
  IdxReader(const std::filesystem::path& path, std::size_t max_bytes)
      : path_(path), most_(max_bytes), file_(path, std::numeric_limits<std::size_t>::max()) {}

  [[nodiscard]] Idx read() {
    std::uint8_t magic[4];
    take(magic, 4, "its 4 magic bytes");
    if (magic[0] != 0 || magic[1] != 0 || magic[2] != kUnsignedByte || magic[3] < 1 || magic[3] > 4)
      refuse("magic bytes 0 0 8 d, with 1 ≤ d ≤ 4 extents", std::to_string(magic[0]) + " " + std::to_string(magic[1]) +
                                                                " " + std::to_string(magic[2]) + " " +
                                                                std::to_string(magic[3]));
    Idx idx;
    // The product of all extents that are not zero: no product of some of them is larger.
    std::size_t size = 1, bytes = 1;
    for (int axis = 0; axis < magic[3]; ++axis) {
      std::uint8_t b[4];
      take(b, 4, "extent " + std::to_string(axis));
      const Index extent = Index{b[0]} << 24 | Index{b[1]} << 16 | Index{b[2]} << 8 | Index{b[3]};
      idx.extents.push_back(extent);
      bytes *= static_cast<std::size_t>(extent);
      if (__builtin_mul_overflow(size, static_cast<std::size_t>(std::max<Index>(extent, 1)), &size) || size > most_)
        refuse("extents for at most " + std::to_string(most_) + " bytes of data", "a larger product",
               "take a smaller file, or raise the limit of bytes");
    }
    // Block by block: a header that promises too much costs no memory.
    constexpr std::size_t kBlock = std::size_t{1} << 20;
    while (idx.bytes.size() < bytes) {
      const std::size_t have = idx.bytes.size(), next = std::min(kBlock, bytes - have);
      idx.bytes.resize(have + next);
      take(idx.bytes.data() + have, next, std::to_string(bytes) + " bytes of data");
    }
    std::uint8_t extra = 0;
    if (file_.read(&extra, 1) != 0) refuse("the end after " + std::to_string(bytes) + " bytes of data", "more bytes");
    return idx;
  }

 private:
  static constexpr int kUnsignedByte = 8;

  void take(std::uint8_t* target, std::size_t bytes, const std::string& what) {
    if (file_.read(target, bytes) != bytes) refuse(what, "the end of a truncated file");
  }
  [[noreturn]] void refuse(const std::string& expected, const std::string& actual,
                           const std::string& remedy = "fetch the file again") const {
    fail<FormatError>("IDX file " + path_.string(), expected, actual, remedy);
  }

  std::filesystem::path path_;
  std::size_t most_;
  io::GzipReader file_;
};

}  // namespace detail

/// Throws IoError, and FormatError for a wrong magic, a truncated, damaged or overlong file, and for one of more than
/// `max_bytes` of data, uncompressed.
[[nodiscard]] inline Idx read_idx(const std::filesystem::path& path, std::size_t max_bytes = io::kMaxBytes) {
  return detail::IdxReader(path, max_bytes).read();
}

/// "train" or "t10k" images and labels from a folder that holds the four IDX files, plain or .gz, directly or under
/// mnist/. Throws IoError naming the places looked at, and FormatError as read_idx does and where images and labels do
/// not match.
[[nodiscard]] inline ImageSet load_images(const std::filesystem::path& folder, const std::string& part,
                                          std::size_t max_bytes = io::kMaxBytes) {
  const auto locate = [&](const std::string& name) {
    for (const auto& base : {folder, folder / "mnist"})
      for (const char* ending : {"", ".gz"})
        if (std::filesystem::exists(base / (name + ending))) return base / (name + ending);
    fail<IoError>("loading images from " + folder.string(), name + " or " + name + ".gz, there or under mnist/",
                  "neither", "name the folder that holds the IDX files");
  };
  const auto image_path = locate(part + "-images-idx3-ubyte"), label_path = locate(part + "-labels-idx1-ubyte");
  Idx images = read_idx(image_path, max_bytes);
  const Idx labels = read_idx(label_path, max_bytes);
  const auto refuse = [](const std::filesystem::path& path, const std::string& expected, const std::string& actual,
                         const std::string& remedy = "use images and labels of one data set") {
    fail<FormatError>("IDX file " + path.string(), expected, actual, remedy);
  };
  if (images.extents.size() != 3) refuse(image_path, "3 extents", std::to_string(images.extents.size()));
  if (images.extents[1] == 0 || images.extents[2] == 0)
    refuse(image_path, "images of at least one pixel",
           std::to_string(images.extents[1]) + " × " + std::to_string(images.extents[2]), "fetch the file again");
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
