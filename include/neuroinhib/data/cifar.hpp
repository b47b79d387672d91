#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include <neuroinhib/data/image_set.hpp>
#include <neuroinhib/io/gzip.hpp>

/// The binary version of CIFAR-10 and CIFAR-100 (Krizhevsky 2009), plain or gzip. Opt-in: needs zlib.
namespace neuroinhib::data {

/// What a record of a CIFAR file begins with: its label bytes, each with the number of its classes. The last one labels
/// the image.
struct CifarLabels {
  std::vector<int> classes;  ///< of each label byte
};
/// CIFAR-10's one label.
inline const CifarLabels kCifar10{{10}};
/// CIFAR-100's coarse label, then the fine one.
inline const CifarLabels kCifar100{{20, 100}};

/// Reads one file of CIFAR records, each its labels and 32 × 32 pixels of red, then green, then blue. Throws IoError,
/// and FormatError for a file without a record, one that ends within a record, a label beyond the classes, and more
/// than `max_bytes`.
[[nodiscard]] inline ImageSet read_cifar(const std::filesystem::path& path, const CifarLabels& kind,
                                         std::size_t max_bytes = io::kMaxBytes) {
  constexpr Index kSide = 32, kPixels = kSide * kSide, kChannels = 3;
  const std::size_t label_bytes = kind.classes.size();
  const std::string remedy = "fetch the binary version of CIFAR-" + std::to_string(kind.classes.back()) + " again";
  ImageSet set{path.string(), kSide, kSide, {}, {}, {}, kChannels};
  const auto refuse = [&](const std::string& expected, const std::string& actual) {
    fail<FormatError>("CIFAR file " + path.string(), expected, actual, remedy);
  };
  io::GzipReader file(path, max_bytes);
  std::vector<std::uint8_t> record(label_bytes + static_cast<std::size_t>(kPixels * kChannels));
  while (const std::size_t got = file.read(record.data(), record.size())) {
    if (got < record.size())
      refuse("records of " + std::to_string(record.size()) + " bytes", "the end of a truncated file after " +
                                                                           std::to_string(got) + " bytes of record " +
                                                                           std::to_string(set.count()));
    for (std::size_t i = 0; i < label_bytes; ++i)
      if (record[i] >= kind.classes[i])
        refuse("labels from 0 to " + std::to_string(kind.classes[i] - 1),
               std::to_string(record[i]) + " in record " + std::to_string(set.count()));
    set.labels.push_back(record[label_bytes - 1]);
    const std::uint8_t* planes = record.data() + label_bytes;
    for (Index pixel = 0; pixel < kPixels; ++pixel)
      for (Index channel = 0; channel < kChannels; ++channel) set.pixels.push_back(planes[channel * kPixels + pixel]);
  }
  if (set.count() == 0) refuse("at least one record", "an empty file");
  set.kinds.assign(set.labels.size(), 0);
  return set;
}

/// "train" or "test" images of CIFAR-10 or CIFAR-100 from a folder with the files of the binary version, plain or .gz,
/// directly or under the name that their archive gives them: cifar-10-batches-bin or cifar-100-binary. Throws IoError
/// naming the places looked at, and as read_cifar does.
[[nodiscard]] inline ImageSet load_cifar(const std::filesystem::path& folder, const std::string& part,
                                         std::size_t max_bytes = io::kMaxBytes) {
  struct Version {
    const char* archive;
    const CifarLabels& labels;
    std::vector<std::string> files;
  };
  const bool train = part == "train";
  const std::array<Version, 2> versions{
      Version{"cifar-10-batches-bin", kCifar10,
              train ? std::vector<std::string>{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                               "data_batch_4.bin", "data_batch_5.bin"}
                    : std::vector<std::string>{"test_batch.bin"}},
      Version{"cifar-100-binary", kCifar100, {part + ".bin"}}};
  const auto located = [](const std::filesystem::path& base, const std::string& name) {
    const auto plain = base / name, packed = base / (name + ".gz");
    return std::filesystem::exists(packed) && !std::filesystem::exists(plain) ? packed : plain;
  };
  for (const Version& version : versions)
    for (const auto& base : {folder, folder / version.archive}) {
      if (!std::filesystem::exists(located(base, version.files.front()))) continue;
      ImageSet set{folder.string(), 0, 0, {}, {}, {}};
      for (const std::string& name : version.files) {
        ImageSet one = read_cifar(located(base, name), version.labels, max_bytes);
        set.height = one.height, set.width = one.width, set.channels = one.channels;
        set.pixels.insert(set.pixels.end(), one.pixels.begin(), one.pixels.end());
        set.labels.insert(set.labels.end(), one.labels.begin(), one.labels.end());
      }
      set.kinds.assign(set.labels.size(), 0);
      return set;
    }
  fail<IoError>("loading CIFAR images from " + folder.string(),
                versions[0].files.front() + " or " + versions[1].files.front() + ", plain or .gz, there, under " +
                    versions[0].archive + "/ or under " + versions[1].archive + "/",
                "neither", "name the folder that holds the binary version of CIFAR-10 or CIFAR-100");
}

}  // namespace neuroinhib::data
