#include <neuroinhib/data/image_files.hpp>

#include <algorithm>
#include <fstream>

#include "data/written_pictures.hpp"
#include "support.hpp"

using namespace testing;
using data::Picture;
using namespace written;

namespace {

int largest_difference(const Picture& a, const Picture& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  int most = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i)
    most = std::max(most, std::abs(int{a.pixels[i]} - int{b.pixels[i]}));
  return most;
}

void write(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

void check_refused(const std::string& bytes, const std::vector<std::string>& parts) {
  check_error<FormatError>([&] { (void)data::decode_picture(bytes, "p", 5000); }, parts);
}

}  // namespace

TEST_CASE("a PNG is read as it was written, whatever its kind") {
  const Picture picture = slopes(9, 13);
  CHECK(data::decode_picture(png(picture), "p").pixels == picture.pixels);
  const std::vector<std::uint8_t> grey{0, 100, 200, 255};
  const Picture of_grey = data::decode_picture(png(2, 2, PNG_FORMAT_GRAY, grey.data()), "p");
  CHECK(of_grey.pixels == std::vector<std::uint8_t>{0, 0, 0, 100, 100, 100, 200, 200, 200, 255, 255, 255});
  const std::vector<std::uint8_t> colours{10, 20, 30, 40, 50, 60}, numbers{1, 0};
  const std::string palette = png(1, 2, PNG_FORMAT_RGB_COLORMAP, numbers.data(), colours.data(), 2);
  CHECK(data::decode_picture(palette, "p").pixels == std::vector<std::uint8_t>{40, 50, 60, 10, 20, 30});
  const std::vector<std::uint8_t> transparent{10, 20, 30, 255, 10, 20, 30, 0};
  CHECK(data::decode_picture(png(1, 2, PNG_FORMAT_RGBA, transparent.data()), "p").pixels ==
        std::vector<std::uint8_t>{10, 20, 30, 255, 255, 255});
}

TEST_CASE("a JPEG is read as nearly as it is written: colour, grey, inks, in one scan or several") {
  const Picture picture = slopes(19, 35);
  for (const bool progressive : {false, true}) {
    const Picture read = data::decode_picture(jpeg(picture, progressive), "p");
    CHECK(read.height == 19);
    CHECK(read.width == 35);
    CHECK(largest_difference(read, picture) < 12);
  }
  Picture grey{4, 4, 1, std::vector<std::uint8_t>(16, 130)};
  const Picture of_grey = data::decode_picture(jpeg(grey, JCS_GRAYSCALE, 1), "p");
  CHECK(largest_difference(of_grey, {4, 4, 3, std::vector<std::uint8_t>(48, 130)}) < 3);
  // libjpeg marks files of inks as Adobe's, whose inks are inverted: 255 is none.
  Picture inks{8, 8, 4, {}};
  for (int i = 0; i < 64; ++i) inks.pixels.insert(inks.pixels.end(), {200, 100, 50, 204});
  Picture expected{8, 8, 3, {}};
  for (int i = 0; i < 64; ++i) expected.pixels.insert(expected.pixels.end(), {160, 80, 40});
  CHECK(largest_difference(data::decode_picture(jpeg(inks, JCS_CMYK, 4), "p"), expected) < 4);
}

TEST_CASE("a picture goes through JPEG in grey and in colour, whose quality and channels are held to their range") {
  const Picture picture = slopes(19, 35), grey = data::with_channels(picture, 1);
  const Picture back = data::decode_picture(data::encode_jpeg(picture, 95), "p");
  CHECK(largest_difference(back, picture) < 12);
  CHECK(largest_difference(data::with_channels(data::decode_picture(data::encode_jpeg(grey, 95), "p"), 1), grey) < 8);
  CHECK(data::encode_jpeg(picture, 10).size() < data::encode_jpeg(picture, 90).size());
  check_error<ConfigError>([&] { (void)data::encode_jpeg(picture, 0); }, {"quality from 1 to 100", "got 0"});
  check_error<ConfigError>([&] { (void)data::encode_jpeg({1, 1, 2, {0, 0}}, 50); }, {"channels of 1 or 3", "got 2"});
  check_error<IoError>([&] { (void)data::encode_jpeg({0, 5, 1, {}}, 50); }, {"a picture that libjpeg takes"});
}

TEST_CASE("pictures that are truncated anywhere are refused") {
  for (const std::string& bytes : {png(slopes(9, 13)), jpeg(slopes(19, 35)), jpeg(slopes(19, 35), true)})
    for (std::size_t size = 0; size + 20 < bytes.size(); size += 7) {
      INFO(size, " of ", bytes.size());
      check_refused(bytes.substr(0, size), {"picture p: expected a whole PNG or JPEG"});
    }
}

TEST_CASE("damaged pictures and files of other kinds are refused, and so are more pixels than allowed") {
  std::string damaged = png(slopes(9, 13));
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
  check_refused(damaged, {"a PNG with: "});
  std::string broken = jpeg(slopes(19, 35));
  std::fill(broken.begin() + 20, broken.begin() + 90, '\xff');
  check_refused(broken, {"a JPEG with: "});
  check_refused("", {"an empty file"});
  check_refused("GIF89a", {"begins with 47 49 46 38", "convert it to PNG or JPEG"});
  check_refused(png(slopes(100, 60)), {"at most 5000 pixels", "100 × 60 pixels"});
  check_refused(jpeg(slopes(100, 60)), {"at most 5000 pixels", "100 × 60 pixels"});
}

TEST_CASE("resizing keeps a constant, a picture of the same size, and the mean") {
  const Picture constant{7, 5, 3, std::vector<std::uint8_t>(105, 77)};
  for (const auto& [height, width] : {std::pair<Index, Index>{3, 2}, {20, 31}, {1, 1}})
    for (const std::uint8_t pixel : data::resized(constant, height, width).pixels) CHECK(pixel == 77);
  const Picture picture = slopes(9, 13);
  CHECK(data::resized(picture, 9, 13).pixels == picture.pixels);
  const Picture line{1, 5, 1, {10, 20, 60, 80, 90}};
  CHECK(data::resized(line, 1, 2, data::Resampling::mean).pixels == std::vector<std::uint8_t>{30, 85});
  CHECK(data::resized(line, 2, 2, data::Resampling::nearest).pixels == std::vector<std::uint8_t>{20, 80, 20, 80});
  Picture checks{8, 8, 1, {}};
  for (int i = 0; i < 64; ++i) checks.pixels.push_back((i + i / 8) % 2 == 0 ? 200 : 100);
  for (const std::uint8_t pixel : data::resized(checks, 2, 2).pixels) CHECK(std::abs(int{pixel} - 150) < 5);
}

TEST_CASE("a folder of classes becomes squares of one size, with the folders' names as classes") {
  const TemporaryFolder folder;
  write(folder / "dog" / "b.png", png(slopes(9, 13)));
  write(folder / "dog" / "a.JPEG", jpeg(slopes(40, 20)));
  write(folder / "cat" / "x.jpg", png(slopes(8, 8)));  // the name says little
  write(folder / "cat" / ".hidden", "");
  const data::ImageSet set = data::load_image_folder(folder.path, {.side = 8});
  CHECK(set.classes == std::vector<std::string>{"cat", "dog"});
  CHECK(set.labels == std::vector<int>{0, 1, 1});
  CHECK(set.channels == 3);
  CHECK(set.pixels.size() == 3 * 8 * 8 * 3);
  const auto cat = set.image(0);
  CHECK(std::vector<std::uint8_t>(cat.begin(), cat.end()) == slopes(8, 8).pixels);
  CHECK(data::load_image_folder(folder.path, {.side = 8, .max_each = 1}).labels == std::vector<int>{0, 1});
  const data::ImageSet grey = data::load_image_folder(folder.path, {.side = 8, .channels = 1});
  CHECK(grey.pixels.size() == 3 * 8 * 8);
  const data::ImageSet named = data::load_image_folder(folder.path, {.side = 8, .classes = {"ant", "dog", "cat"}});
  CHECK(named.labels == std::vector<int>{2, 1, 1});
}

TEST_CASE("folders that are no data set are refused, saying what is wrong and where") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::vector<std::string>& parts, const data::ImageFolderOptions& options = {}) {
    check_error<FormatError>([&] { (void)data::load_image_folder(folder.path, options); }, parts);
  };
  check_error<IoError>([&] { (void)data::load_image_folder(folder / "none"); },
                       {"a folder with a folder for each class"});
  refused({"an empty folder"});
  std::filesystem::create_directories(folder / "cat");
  refused({"/cat", "an empty class"});
  write(folder / "cat" / "x.png", png(slopes(8, 8)));
  refused({"classes among the 1 known", "\"cat\""}, {.classes = {"dog"}});
  write(folder / "notes.txt", "x");
  refused({"the file notes.txt"});
  std::filesystem::remove(folder / "notes.txt");
  write(folder / "cat" / "y.png", "text");
  refused({"cat/y.png", "begins with 74 65 78 74"});
  std::filesystem::remove(folder / "cat" / "y.png");
  std::filesystem::create_directories(folder / "cat" / "more");
  refused({"/cat", "the folder more"});
  check_error<ConfigError>([&] { (void)data::load_image_folder(folder.path, {.side = 0}); }, {"side ≥ 1"});
  check_error<ConfigError>([&] { (void)data::load_image_folder(folder.path, {.channels = 2}); },
                           {"channels of 1 or 3"});
}
