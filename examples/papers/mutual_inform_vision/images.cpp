#include "images.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <span>

#include <neuroinhib/data/built_in_digits.hpp>
#include <neuroinhib/data/cifar.hpp>
#include <neuroinhib/data/idx.hpp>
#include <neuroinhib/data/image_files.hpp>
#include <neuroinhib/data/mixed_numbers.hpp>

#include "../common.hpp"

namespace vision {
namespace {

using neuroinhib::ConfigError;
using neuroinhib::fail;
using neuroinhib::IoError;

constexpr std::uint64_t kDataSeed = 1;

data::ImageSet chosen(const data::ImageSet& set, std::span<const Index> numbers) {
  data::ImageSet part = set;
  part.pixels.clear(), part.labels.clear(), part.kinds.clear();
  for (const Index number : numbers) {
    const auto image = set.image(number);
    part.pixels.insert(part.pixels.end(), image.begin(), image.end());
    part.labels.push_back(set.labels[static_cast<std::size_t>(number)]);
    part.kinds.push_back(set.kinds[static_cast<std::size_t>(number)]);
  }
  return part;
}

/// Training and test images.
struct Parts {
  data::ImageSet training, test;
};

/// Whether there is a file of that name, plain or .gz, in one of the folders.
bool has(const std::filesystem::path& folder, const std::vector<std::string>& places, const std::string& name) {
  return std::any_of(places.begin(), places.end(), [&](const std::string& place) {
    return std::filesystem::exists(folder / place / name) || std::filesystem::exists(folder / place / (name + ".gz"));
  });
}

Parts load_parts(const Settings& s) {
  if (s.data.empty()) {
    std::printf("data: %s; name a folder with --data\n", data::kBuiltInDigits);
    // A tenth of the training digits is held out.
    const Index digits = s.samples > 0 ? 10 * (s.samples / 9 + 1) : 12000,
                test = s.test_images > 0 ? s.test_images : 2000;
    return {data::make_built_in_digits(digits, kDataSeed), data::make_built_in_digits(test, kDataSeed + 1)};
  }
  if (has(s.data, {"", "mnist"}, "train-images-idx3-ubyte"))
    return {data::load_images(s.data, "train"), data::load_images(s.data, "t10k")};
  if (has(s.data, {"", "cifar-10-batches-bin"}, "data_batch_1.bin") ||
      has(s.data, {"", "cifar-100-binary"}, "train.bin"))
    return {data::load_cifar(s.data, "train"), data::load_cifar(s.data, "test")};
  if (!std::filesystem::is_directory(s.data / "train"))
    fail<IoError>("--data " + s.data.string(),
                  "MNIST's IDX files, the binary version of CIFAR-10 or CIFAR-100, or folders train and val",
                  "none of them", "check the path");
  data::ImageFolderOptions options{.side = s.side};
  Parts parts{data::load_image_folder(s.data / "train", options), {}};
  options.classes = parts.training.classes;
  parts.test = data::load_image_folder(s.data / "val", options);
  return parts;
}

Parts mixed(const Parts& digits) {
  const auto with_squares = [](const data::ImageSet& set) {
    return data::make_mixed_numbers(set, data::Squares::clean, 2 * set.count(), kDataSeed);
  };
  return {with_squares(digits.training), with_squares(digits.test)};
}

/// Size and channels, for people.
std::string form_of(const data::ImageSet& set) {
  return std::to_string(set.height) + " × " + std::to_string(set.width) + ", channels " + std::to_string(set.channels);
}

/// Throws ConfigError unless a network of so many classes that learns from the training images can be asked for the
/// test images.
void require_alike(const data::ImageSet& training, const data::ImageSet& test, Index classes) {
  const std::string remedy = "use training and test images of one data set";
  if (test.count() == 0) fail<ConfigError>("test images", "one or more", "none", "add some to the test data");
  if (form_of(test) != form_of(training))
    fail<ConfigError>("test images", "images of " + form_of(training) + ", as in training", form_of(test), remedy);
  if (const int beyond = *std::max_element(test.labels.begin(), test.labels.end()); beyond >= classes)
    fail<ConfigError>("test images", "labels from 0 to " + std::to_string(classes - 1) + ", as in training",
                      std::to_string(beyond), remedy);
}

/// A folder of pictures beside the training images, with the same names of classes.
std::optional<data::ImageSet> beside(const Settings& s, const data::ImageSet& training, const char* name) {
  if (s.data.empty() || !std::filesystem::is_directory(s.data / name)) return std::nullopt;
  if (training.classes.empty())
    fail<ConfigError>("--data " + s.data.string(), "no folder " + std::string(name) + " beside images without names",
                      "one", "move it away: its classes are known by the names of train's folders");
  return some_of(data::load_image_folder(s.data / name, {.side = s.side, .classes = training.classes}), s.test_images);
}

}  // namespace

data::ImageSet some_of(const data::ImageSet& set, Index most) {
  if (most <= 0 || set.count() <= most) return set;
  std::vector<Index> numbers(static_cast<std::size_t>(most));
  for (Index i = 0; i < most; ++i) numbers[static_cast<std::size_t>(i)] = i * set.count() / most;
  return chosen(set, numbers);
}

std::string Images::name() const {
  return training.source + ", fingerprint " + papers::fingerprint(training.pixels) + papers::fingerprint(test.pixels);
}

Images load_images(const Settings& s) {
  constexpr std::uint32_t kStream = 0x7a1du;
  Parts parts = load_parts(s);
  if (!s.data.empty()) parts.training.source = papers::name_of(s.data);
  if (s.set == "mixed") parts = mixed(parts);
  Images images;
  // A tenth of the training images for validation.
  std::vector<Index> order(static_cast<std::size_t>(parts.training.count()));
  std::iota(order.begin(), order.end(), Index{0});
  data::shuffle(order, kDataSeed, kStream);
  const std::size_t held = order.size() / 10;
  if (held == 0)
    fail<ConfigError>("training images", "ten or more", std::to_string(order.size()), "add some to the training data");
  images.validation = some_of(chosen(parts.training, std::span(order).first(held)), s.test_images);
  images.training = some_of(chosen(parts.training, std::span(order).subspan(held)), s.samples);
  images.test = some_of(parts.test, s.test_images);
  images.classes = 1 + *std::max_element(parts.training.labels.begin(), parts.training.labels.end());
  require_alike(images.training, images.test, images.classes);
  images.renditions = beside(s, images.training, "imagenet-r");
  images.adversarial = beside(s, images.training, "imagenet-a");
  const data::ImageSet& like = images.test;
  if (!s.data.empty() && std::filesystem::is_directory(s.data / "imagenet-o")) {
    const auto others = data::load_image_folder(s.data / "imagenet-o", {.side = s.side});
    images.outliers = data::fitted(some_of(others, like.count()), like.height, like.width, like.channels);
    images.outliers_name = "imagenet-o";
  } else {
    const bool counted = s.set == "mixed";
    const auto shapes = counted ? data::make_squares(data::Squares::stoianov_zorzi, like.count(), kDataSeed, 32)
                                : data::make_squares(data::Squares::clean, like.count(), kDataSeed);
    images.outliers = data::fitted(shapes, like.height, like.width, like.channels);
    images.outliers_name = counted ? "rectangles, up to 32" : "squares of the mixed numbers";
  }
  return images;
}

}  // namespace vision
