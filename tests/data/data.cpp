#include <zlib.h>

#include <fstream>
#include <set>

#include <neuroinhib/data/built_in_digits.hpp>
#include <neuroinhib/data/idx.hpp>
#include <neuroinhib/data/mixed_numbers.hpp>
#include <neuroinhib/data/resize.hpp>
#include <neuroinhib/io/file.hpp>

#include "support.hpp"

using namespace testing;

namespace {

std::string idx(const std::vector<Index>& extents, std::size_t bytes, int type = 8) {
  std::string file{'\0', '\0', static_cast<char>(type), static_cast<char>(extents.size())};
  for (const Index extent : extents)
    for (int shift = 24; shift >= 0; shift -= 8) file += static_cast<char>(extent >> shift & 255);
  for (std::size_t i = 0; i < bytes; ++i) file += static_cast<char>(i % 10);
  return file;
}

void write(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

void write_gz(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  gzclose(file);
}

void check_refused(const std::string& content, const std::vector<std::string>& parts) {
  const TemporaryFolder folder;
  write(folder / "f", content);
  check_error<FormatError>([&] { (void)data::read_idx(folder / "f"); }, parts);
}

/// Connected regions of an image: the number of shapes, where they do not touch.
Index regions(std::span<const std::uint8_t> image, Index size) {
  std::vector<bool> seen(image.size());
  Index count = 0;
  for (Index start = 0; start < size * size; ++start) {
    if (image[static_cast<std::size_t>(start)] == 0 || seen[static_cast<std::size_t>(start)]) continue;
    ++count;
    std::vector<Index> open{start};
    while (!open.empty()) {
      const Index at = open.back();
      open.pop_back();
      if (seen[static_cast<std::size_t>(at)]) continue;
      seen[static_cast<std::size_t>(at)] = true;
      for (const Index step : {Index{-1}, Index{1}, -size, size}) {
        const Index next = at + step;
        if (next < 0 || next >= size * size || (step == 1 && next % size == 0) || (step == -1 && at % size == 0))
          continue;
        if (image[static_cast<std::size_t>(next)] != 0) open.push_back(next);
      }
    }
  }
  return count;
}

}  // namespace

TEST_CASE("IDX files are read plain and gzipped, in the folder and under mnist/") {
  const TemporaryFolder folder;
  write(folder / "train-images-idx3-ubyte", idx({3, 2, 2}, 12));
  write_gz(folder.path / "mnist" / "train-labels-idx1-ubyte.gz", idx({3}, 3));
  const data::ImageSet set = data::load_images(folder.path, "train");
  CHECK(set.count() == 3);
  CHECK(set.height == 2);
  CHECK(set.labels == std::vector<int>{0, 1, 2});
  CHECK(set.image(2)[3] == 1);
}

TEST_CASE("IDX files that are truncated, damaged, overlong or of another kind are refused") {
  check_refused("", {"magic", "truncated"});
  check_refused(idx({3, 2, 2}, 12, 13), {"0 0 8 d", "0 0 13 3"});
  check_refused("PNG!" + std::string(20, 'x'), {"0 0 8 d"});
  check_refused(std::string{'\0', '\0', '\x8', '\x3', '\0'}, {"extent 0", "truncated"});
  check_refused(idx({3, 2, 2}, 11), {"12 bytes", "truncated"});
  check_refused(idx({3, 2, 2}, 13), {"end after 12 bytes"});
  check_refused(idx({0x7fffffff, 0x7fffffff, 0x7fffffff}, 4), {"at most 1073741824 bytes"});
  check_refused(idx({0x3fffffff, 1, 1}, 4), {"truncated"});
  const TemporaryFolder folder;
  write_gz(folder / "g", idx({1000, 10}, 10000));
  std::string gz = io::read_file(folder / "g");
  write(folder / "short", gz.substr(0, gz.size() / 2));
  check_error<FormatError>([&] { (void)data::read_idx(folder / "short"); }, {"short", "end early"});
  gz[gz.size() / 2] = static_cast<char>(gz[gz.size() / 2] ^ 0x55);
  write(folder / "damaged", gz);
  check_error<FormatError>([&] { (void)data::read_idx(folder / "damaged"); }, {"damaged"});
}

TEST_CASE("a gzip file is whole, its checksum and length are compared, and nothing follows it") {
  const TemporaryFolder folder;
  const std::string plain = idx({1000}, 1000);
  write_gz(folder / "g", plain);
  const std::string gz = io::read_file(folder / "g");
  const auto refused = [&](const std::string& content, const std::vector<std::string>& parts) {
    write(folder / "f", content);
    check_error<FormatError>([&] { (void)data::read_idx(folder / "f"); }, parts);
  };
  for (std::size_t cut = 1; cut < gz.size() - 2; ++cut) refused(gz.substr(0, gz.size() - cut), {"end early"});
  for (std::size_t back = 1; back <= 8; ++back) {
    std::string flipped = gz;
    flipped[gz.size() - back] = static_cast<char>(flipped[gz.size() - back] ^ 1);
    refused(flipped, {back <= 4 ? "incorrect length check" : "incorrect data check"});
  }
  refused(gz + "garbage", {"whole gzip data", "incorrect header check"});
  refused(gz + gz, {"end after 1000 bytes"});
  // Members one after another are one file.
  write_gz(folder / "a", plain.substr(0, 500));
  write_gz(folder / "b", plain.substr(500));
  write(folder / "f", io::read_file(folder / "a") + io::read_file(folder / "b"));
  CHECK(data::read_idx(folder / "f").bytes == data::read_idx(folder / "g").bytes);
}

TEST_CASE("a small file that unpacks to a large one is refused at a limit, which the caller may set") {
  const TemporaryFolder folder;
  write_gz(folder / "zeros", idx({64 << 20}, 0) + std::string(std::size_t{64} << 20, '\0'));
  check_error<FormatError>([&] { (void)data::read_idx(folder / "zeros", 1 << 20); },
                           {"at most 1048576 bytes", "raise the limit"});
  CHECK(data::read_idx(folder / "zeros", 64 << 20).bytes.size() == std::size_t{64} << 20);
  check_refused(idx({0x7fffffff, 2}, 4), {"at most 1073741824 bytes"});
  check_refused(idx({0, 0x7fffffff, 0x7fffffff, 0x7fffffff}, 0), {"at most 1073741824 bytes"});
  io::GzipReader reader(folder / "zeros", 1000);
  std::vector<char> block(1000);
  CHECK(reader.read(block.data(), 1000) == 1000);
  check_error<FormatError>([&] { (void)reader.read(block.data(), 1); }, {"at most 1000 bytes", "got more"});
}

TEST_CASE("images and labels that do not belong together are refused, and missing ones named") {
  const TemporaryFolder folder;
  check_error<IoError>([&] { (void)data::load_images(folder.path, "train"); }, {"train-images-idx3-ubyte", "mnist/"});
  write(folder / "train-images-idx3-ubyte", idx({3, 2, 2}, 12));
  write(folder / "train-labels-idx1-ubyte", idx({4}, 4));
  check_error<FormatError>([&] { (void)data::load_images(folder.path, "train"); }, {"3 labels", "got 4"});
  write(folder / "train-labels-idx1-ubyte", idx({3, 1}, 3));
  check_error<FormatError>([&] { (void)data::load_images(folder.path, "train"); }, {"1 extent"});
  write(folder / "train-images-idx3-ubyte", idx({3, 0, 2}, 0));
  check_error<FormatError>([&] { (void)data::load_images(folder.path, "train"); }, {"at least one pixel", "0 × 2"});
}

TEST_CASE("mixed numbers are made of grey digits alone") {
  data::ImageSet digits = data::make_built_in_digits(20, 1);
  CHECK(data::make_mixed_numbers(digits, data::Squares::paper, 20, 1).count() == 20);
  const data::ImageSet colour = data::fitted(digits, 28, 28, 3);
  check_error<ConfigError>([&] { (void)data::make_mixed_numbers(colour, data::Squares::paper, 20, 1); },
                           {"grey digits of 28 × 28", "3 channels"});
}

TEST_CASE("a set's images are fitted to another size and other channels") {
  const data::ImageSet digits = data::make_built_in_digits(5, 1);
  const data::ImageSet colour = data::fitted(digits, 28, 28, 3), grey = data::fitted(colour, 28, 28, 1);
  CHECK(colour.image_size() == 3 * 28 * 28);
  CHECK(colour.image(3)[3 * 400 + 1] == digits.image(3)[400]);
  CHECK(grey.pixels == digits.pixels);
  CHECK(grey.labels == digits.labels);
  CHECK(data::fitted(digits, 14, 20, 1).pixels.size() == 5 * 14 * 20);
  check_error<ConfigError>([&] { (void)data::fitted(digits, 0, 4, 1); }, {"at least one pixel", "28 × 28 to 0 × 4"});
  check_error<ConfigError>([&] { (void)data::fitted(digits, 4, 4, 2); }, {"1 channel or 3", "1 to 2"});
  Cpu<float> cpu;
  const std::vector<Index> numbers{4, 0};
  const auto batch = data::gather(cpu, colour, data::Scaling(colour), numbers);
  CHECK(batch.images.shape == Shape{2, 28, 28, 3});
}

TEST_CASE("squares are counted by their label") {
  const data::ImageSet clean = data::make_squares(data::Squares::clean, 400, 3);
  std::set<int> labels;
  for (Index i = 0; i < clean.count(); ++i) {
    CHECK(regions(clean.image(i), clean.width) == clean.labels[static_cast<std::size_t>(i)]);
    labels.insert(clean.labels[static_cast<std::size_t>(i)]);
  }
  CHECK(labels.size() == 10);
  const data::ImageSet paper = data::make_squares(data::Squares::paper, 400, 3);
  Index touching = 0;
  for (Index i = 0; i < paper.count(); ++i) {
    const Index found = regions(paper.image(i), paper.width), label = paper.labels[static_cast<std::size_t>(i)];
    CHECK(found <= label + 1);
    touching += found < label + 1;
  }
  CHECK(touching > 80);  // the research code lets squares touch: about 42 % of the images
  CHECK(touching < 240);
}

TEST_CASE("research squares: one area for a group of images, and the number placed for a label") {
  constexpr Index kGroup = 30, kGroups = 80;
  const data::ImageSet set = data::make_squares(data::Squares::research, kGroups * kGroup, 5);
  std::set<Index> areas, of_one;
  Index fewer = 0;
  for (Index g = 0; g < kGroups; ++g) {
    const Index asked = g / 8 + 1;
    double area = 0;
    for (Index i = g * kGroup; i < (g + 1) * kGroup; ++i) {
      const auto image = set.image(i);
      const Index placed = set.labels[static_cast<std::size_t>(i)] + 1;
      area += static_cast<double>(std::count(image.begin(), image.end(), 255)) / kGroup;
      CHECK(placed >= 1);
      CHECK(placed <= asked);
      CHECK(regions(image, set.width) <= placed);
      fewer += placed < asked;
    }
    const auto level = static_cast<Index>(std::lround((area - 24) / 24));
    CHECK(std::abs(area - static_cast<double>(24 + 24 * level)) < 8);  // noise in a side, of up to 15 pixels
    CHECK(level >= 0);
    CHECK(level <= 8);
    areas.insert(level);
    if (asked == 1) of_one.insert(level);
  }
  CHECK(areas.size() > 5);
  CHECK(of_one.size() > 1);
  CHECK(fewer > 0);
  CHECK(fewer < kGroups * kGroup / 20);
  CHECK(data::make_squares(data::Squares::research, 160, 5).pixels !=
        data::make_squares(data::Squares::research, 160, 6).pixels);
}

TEST_CASE("Stoianov and Zorzi's rectangles: 1 to 32, areas 32 to 256 in steps of 32") {
  const data::ImageSet set = data::make_squares(data::Squares::stoianov_zorzi, 300, 1, 32);
  CHECK(set.width == 30);
  std::set<int> labels;
  for (Index i = 0; i < set.count(); ++i) {
    const auto image = set.image(i);
    CHECK(regions(image, 30) == set.labels[static_cast<std::size_t>(i)] + 1);
    const auto area = std::count(image.begin(), image.end(), 255);
    CHECK(area >= 30);
    CHECK(area <= 272);
    labels.insert(set.labels[static_cast<std::size_t>(i)]);
  }
  CHECK(*labels.rbegin() == 31);
  CHECK(*labels.begin() == 0);
  check_error<ConfigError>([] { (void)data::make_squares(data::Squares::clean, 1, 1, 33); }, {"1 to 32"});
}

TEST_CASE("everything generated is a function of its seed") {
  CHECK(data::make_squares(data::Squares::paper, 20, 1).pixels ==
        data::make_squares(data::Squares::paper, 20, 1).pixels);
  CHECK(data::make_squares(data::Squares::paper, 20, 1).pixels !=
        data::make_squares(data::Squares::paper, 20, 2).pixels);
  CHECK(data::make_built_in_digits(5, 1).pixels == data::make_built_in_digits(5, 1).pixels);
}

TEST_CASE("built-in digits hold all ten, with ink, and say that they are not MNIST") {
  const data::ImageSet set = data::make_built_in_digits(300, 1);
  CHECK(set.source.find("NOT MNIST") != std::string::npos);
  CHECK(std::set<int>(set.labels.begin(), set.labels.end()).size() == 10);
  for (Index i = 0; i < set.count(); ++i) {
    double ink = 0;
    for (const auto pixel : set.image(i)) ink += pixel / 255.0;
    CHECK(ink > 20);
    CHECK(ink < 300);
  }
}

TEST_CASE("mixed numbers: half and half, all labels, and too few digits named") {
  const auto digits = data::make_built_in_digits(100, 1);
  const auto mixed = data::make_mixed_numbers(digits, data::Squares::paper, 200, 1);
  CHECK(mixed.count() == 200);
  CHECK(std::count(mixed.kinds.begin(), mixed.kinds.end(), 1) == 100);
  check_error<ConfigError>([&] { (void)data::make_mixed_numbers(digits, data::Squares::paper, 300, 1); },
                           {"2 to 200", "300"});
  auto other = digits;
  other.width = 14;
  other.height = 56;
  check_error<ConfigError>([&] { (void)data::make_mixed_numbers(other, data::Squares::paper, 20, 1); },
                           {"28 × 28", "56 × 14"});
  other = digits;
  other.labels[7] = 10;
  check_error<ConfigError>([&] { (void)data::make_mixed_numbers(other, data::Squares::paper, 20, 1); },
                           {"labels from 0 to 9", "10 at digit 7"});
}

TEST_CASE("a split holds every image once, 80 / 10 / 10, by seed") {
  const data::Split split = data::split(1000, 4);
  CHECK(split.training.size() == 800);
  CHECK(split.validation.size() == 100);
  std::set<Index> all(split.training.begin(), split.training.end());
  all.insert(split.validation.begin(), split.validation.end());
  all.insert(split.test.begin(), split.test.end());
  CHECK(all.size() == 1000);
  CHECK(data::split(1000, 4).test == split.test);
  CHECK(data::split(1000, 5).test != split.test);
}

TEST_CASE("pixels are scaled by the whole set's mean and deviation") {
  const auto set = data::make_built_in_digits(50, 2);
  const data::Scaling scaling(set);
  double mean = 0, square = 0;
  for (const auto pixel : set.pixels) {
    mean += scaling(pixel) / static_cast<double>(set.pixels.size());
    square += scaling(pixel) * scaling(pixel) / static_cast<double>(set.pixels.size());
  }
  CHECK(std::abs(mean) < 1e-9);
  CHECK(square == doctest::Approx(1));
  data::ImageSet grey{"grey", 1, 2, {5, 5}, {0}, {0}};
  check_error<FormatError>([&] { const data::Scaling s(grey); }, {"the value 5 in all 2 pixels"});
}
