#pragma once

#include <png.h>

#include <csetjmp>
#include <cstdio>
// libjpeg's header needs FILE and size_t from before it.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <neuroinhib/data/resize.hpp>
#include <neuroinhib/io/gzip.hpp>

/// PNG and JPEG files, and folders of them in ImageNet's layout. Opt-in: needs libpng, libjpeg (or libjpeg-turbo),
/// zlib.
namespace neuroinhib::data {

/// Pixels that a picture may have: a small file can promise any number.
inline constexpr Index kMaxPixels = Index{1} << 26;

namespace detail {

/// A handler of libjpeg's errors. libjpeg leaves on an error by longjmp, over nothing but its own frames and trivial
/// ones of ours.
class JpegErrors {
 public:
  JpegErrors() {
    jpeg_std_error(&handler_.manager);
    handler_.manager.error_exit = leave;
    handler_.manager.emit_message = judge;
  }
  JpegErrors(const JpegErrors&) = delete;
  JpegErrors& operator=(const JpegErrors&) = delete;

  [[nodiscard]] jpeg_error_mgr* manager() { return &handler_.manager; }
  /// False where the action met an error: problem() then says which.
  template <class Action>
  bool guard(const Action& action) {
    if (setjmp(handler_.back) != 0) return false;
    action();
    return true;
  }
  [[nodiscard]] const char* problem() const { return handler_.text.data(); }
  [[noreturn]] static void leave_with(j_common_ptr info, const char* format, int number) {
    Handler& handler = of(info);
    std::snprintf(handler.text.data(), handler.text.size(), format, number);
    std::longjmp(handler.back, 1);
  }

 private:
  struct Handler {
    jpeg_error_mgr manager;  // first: info->err points at both
    std::jmp_buf back;
    std::array<char, JMSG_LENGTH_MAX> text;
  };
  static Handler& of(j_common_ptr info) { return *reinterpret_cast<Handler*>(info->err); }
  [[noreturn]] static void leave(j_common_ptr info) {
    info->err->format_message(info, of(info).text.data());
    std::longjmp(of(info).back, 1);
  }
  /// A warning is an error where data are missing or damaged; other readers would fill in grey.
  static void judge(j_common_ptr info, int level) {
    const int code = info->err->msg_code;
    const bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM;
    if (level < 0 && !harmless) leave(info);
  }

  Handler handler_{};
};

/// Decodes one JPEG.
class JpegReader {
 public:
  JpegReader(std::string_view bytes, Index max_pixels) : max_pixels_(max_pixels) {
    info_.err = errors_.manager();
    healthy_ = errors_.guard([&] {
      jpeg_create_decompress(&info_);
      progress_.progress_monitor = limit_scans;
      info_.progress = &progress_;
      jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    });
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&info_); }

  /// Empty where the picture is damaged: problem() then says how.
  [[nodiscard]] Picture read() {
    const bool started = healthy_ && errors_.guard([&] {
      jpeg_read_header(&info_, TRUE);
      const bool inks = info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK;
      info_.out_color_space = inks ? JCS_CMYK : JCS_RGB;
    });
    if (!started) return damaged(errors_.problem());
    Picture picture{info_.image_height, info_.image_width, 3, {}};
    if (picture.height * picture.width > max_pixels_)
      return damaged(std::to_string(picture.height) + " × " + std::to_string(picture.width) + " pixels");
    picture.pixels.resize(static_cast<std::size_t>(picture.height * picture.width * 3));
    std::vector<std::uint8_t> line(static_cast<std::size_t>(picture.width) * 4);
    std::uint8_t *target = picture.pixels.data(), *source = line.data();
    const bool whole = errors_.guard([&] {
      jpeg_start_decompress(&info_);
      while (info_.output_scanline < info_.output_height) {
        const bool inks = info_.out_color_space == JCS_CMYK;
        std::uint8_t* row = inks ? source : target;
        jpeg_read_scanlines(&info_, &row, 1);
        if (inks) colour_of_inks(source, target);
        target += std::size_t{3} * info_.output_width;
      }
      jpeg_finish_decompress(&info_);
    });
    return whole ? std::move(picture) : damaged(errors_.problem());
  }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  Picture damaged(const std::string& problem) {
    problem_ = problem;
    return {};
  }
  /// A small file may hold any number of passes over a large picture.
  static void limit_scans(j_common_ptr info) {
    constexpr int kMaxScans = 100;
    if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans)
      JpegErrors::leave_with(info, "more than %d scans", kMaxScans);
  }
  /// Cyan, magenta, yellow and black, which Adobe's files store inverted.
  void colour_of_inks(const std::uint8_t* inks, std::uint8_t* colour) const {
    const int flip = info_.saw_Adobe_marker != 0 ? 0 : 255;
    for (JDIMENSION x = 0; x < info_.output_width; ++x, inks += 4, colour += 3)
      for (int c = 0; c < 3; ++c) colour[c] = static_cast<std::uint8_t>((inks[c] ^ flip) * (inks[3] ^ flip) / 255);
  }

  Index max_pixels_;
  JpegErrors errors_;
  jpeg_decompress_struct info_{};
  jpeg_progress_mgr progress_{};
  bool healthy_ = false;
  std::string problem_;
};

}  // namespace detail

/// A PNG or a JPEG, told apart by its first bytes, in red, green and blue of 8 bits. Transparent pixels lie on white;
/// colour profiles and orientations are not applied. `name` is for errors. Throws FormatError for another format, a
/// damaged or truncated picture, and more than `max_pixels`.
[[nodiscard]] inline Picture decode_picture(std::string_view bytes, const std::string& name,
                                            Index max_pixels = kMaxPixels) {
  const auto refuse = [&](const std::string& actual, const std::string& remedy) {
    fail<FormatError>("picture " + name, "a whole PNG or JPEG of at most " + std::to_string(max_pixels) + " pixels",
                      actual, remedy);
  };
  const char* const again = "fetch the file again, convert it, or remove it";
  if (bytes.starts_with("\xff\xd8")) {
    detail::JpegReader reader(bytes, max_pixels);
    Picture picture = reader.read();
    if (picture.pixels.empty()) refuse("a JPEG with: " + reader.problem(), again);
    return picture;
  }
  if (!bytes.starts_with("\x89PNG")) {
    std::string first = bytes.empty() ? "an empty file" : "a file that begins with";
    for (const char byte : bytes.substr(0, 4)) {
      std::array<char, 8> text{};
      std::snprintf(text.data(), text.size(), " %02x", static_cast<unsigned char>(byte));
      first += text.data();
    }
    refuse(first, "convert it to PNG or JPEG, or remove it");
  }
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const auto check = [&](int status) {
    const std::string problem = png.message;
    if (status != 0) return;
    png_image_free(&png);
    refuse("a PNG with: " + problem, again);
  };
  check(png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()));
  Picture picture{png.height, png.width, 3, {}};
  if (picture.height * picture.width > max_pixels) {
    png_image_free(&png);
    refuse(std::to_string(picture.height) + " × " + std::to_string(picture.width) + " pixels", again);
  }
  png.format = PNG_FORMAT_RGB;
  png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  picture.pixels.resize(static_cast<std::size_t>(picture.height * picture.width * 3));
  const png_color white{255, 255, 255};
  check(png_image_finish_read(&png, &white, picture.pixels.data(), 0, nullptr));
  return picture;
}

/// A grey or colour picture as a JPEG of quality 1 to 100, as libjpeg's defaults have it. Throws ConfigError for
/// another quality or other channels, IoError where libjpeg cannot.
[[nodiscard]] inline std::string encode_jpeg(const Picture& picture, int quality) {
  require_option("encoding a JPEG", "quality", quality, quality >= 1 && quality <= 100, "from 1 to 100",
                 "75 is libjpeg's own");
  require_option("encoding a JPEG", "channels", picture.channels, picture.channels == 1 || picture.channels == 3,
                 "of 1 or 3", "1 is grey, 3 is colour");
  detail::JpegErrors errors;
  jpeg_compress_struct info{};
  info.err = errors.manager();
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  const bool done = errors.guard([&] {
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &memory, &size);
    info.image_height = static_cast<JDIMENSION>(picture.height);
    info.image_width = static_cast<JDIMENSION>(picture.width);
    info.input_components = static_cast<int>(picture.channels);
    info.in_color_space = picture.channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
      // libjpeg takes rows that it could write to, and does not.
      auto* row = const_cast<std::uint8_t*>(picture.pixels.data()) +
                  static_cast<Index>(info.next_scanline) * picture.width * picture.channels;
      jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
  });
  jpeg_destroy_compress(&info);
  const std::string bytes = done ? std::string(reinterpret_cast<const char*>(memory), size) : "";
  std::free(memory);
  if (!done) fail<IoError>("encoding a JPEG", "a picture that libjpeg takes", errors.problem(), "make it smaller");
  return bytes;
}

/// The same of a file. Throws IoError too.
[[nodiscard]] inline Picture read_picture(const std::filesystem::path& path, Index max_pixels = kMaxPixels) {
  io::GzipReader file(path);
  std::string bytes;
  constexpr std::size_t kBlock = std::size_t{1} << 16;
  for (std::size_t got = kBlock; got == kBlock;) {
    const std::size_t have = bytes.size();
    bytes.resize(have + kBlock);
    got = file.read(bytes.data() + have, kBlock);
    bytes.resize(have + got);
  }
  return decode_picture(bytes, path.string(), max_pixels);
}

/// What load_image_folder() makes of the pictures.
struct ImageFolderOptions {
  Index side = 64;                ///< of the square that each picture's middle is brought to
  Index channels = 3;             ///< 3: colour; 1: grey
  Index max_each = 0;             ///< pictures of a class, by name; 0: all
  Index max_pixels = kMaxPixels;  ///< that a picture may have
  /// Names that classes must have, such as those of the training images: label i is the i-th; not all need to be there.
  /// None: the folders' names in their order.
  std::vector<std::string> classes{};
};

/// Pictures in ImageNet's layout: a folder for each class, with PNG and JPEG files in it, of any size. Names that begin
/// with a dot are left out. Throws IoError, ConfigError for options outside their range, and FormatError for a folder
/// without classes, a class without pictures or of an unknown name, a folder within a class, and as decode_picture
/// does.
[[nodiscard]] inline ImageSet load_image_folder(const std::filesystem::path& folder,
                                                const ImageFolderOptions& options = {}) {
  namespace fs = std::filesystem;
  require_option("image folder", "side", options.side, options.side >= 1, "≥ 1", "64 keeps most of a photograph");
  require_option("image folder", "channels", options.channels, options.channels == 1 || options.channels == 3,
                 "of 1 or 3", "1 is grey, 3 is colour");
  require_option("image folder", "max_each", options.max_each, options.max_each >= 0, "≥ 0", "0 takes all");
  if (!fs::is_directory(folder))
    fail<IoError>("image folder " + folder.string(), "a folder with a folder for each class", "none of that name",
                  "check the path");
  const auto refuse = [](const fs::path& where, const std::string& expected, const std::string& actual,
                         const std::string& remedy) {
    fail<FormatError>("image folder " + where.string(), expected, actual, remedy);
  };
  const auto entries = [](const fs::path& of) {
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(of))
      if (!entry.path().filename().string().starts_with('.')) all.push_back(entry.path());
    std::sort(all.begin(), all.end());
    return all;
  };
  ImageSet set{folder.string(), options.side, options.side, {}, {}, {}, options.channels, options.classes};
  const bool known = !options.classes.empty();
  for (const fs::path& of_class : entries(folder)) {
    const std::string name = of_class.filename().string();
    if (!fs::is_directory(of_class))
      refuse(folder, "nothing but a folder for each class", "the file " + name,
             "name the folder above the classes, and move other files away");
    if (!known) set.classes.push_back(name);
    const auto label = std::find(set.classes.begin(), set.classes.end(), name) - set.classes.begin();
    if (label == static_cast<std::ptrdiff_t>(set.classes.size()))
      refuse(folder, "classes among the " + std::to_string(set.classes.size()) + " known ones", "\"" + name + "\"",
             "use the same names as for the training images");
    std::vector<fs::path> files = entries(of_class);
    if (files.empty()) refuse(of_class, "PNG and JPEG files", "an empty class", "put pictures into it, or remove it");
    if (options.max_each > 0 && static_cast<Index>(files.size()) > options.max_each)
      files.resize(static_cast<std::size_t>(options.max_each));
    for (const fs::path& file : files) {
      if (fs::is_directory(file))
        refuse(of_class, "PNG and JPEG files", "the folder " + file.filename().string(),
               "name the folder right above the classes, such as ImageNet's train");
      const Picture square =
          resized(central_square(read_picture(file, options.max_pixels)), options.side, options.side);
      const Picture picture = with_channels(square, options.channels);
      set.pixels.insert(set.pixels.end(), picture.pixels.begin(), picture.pixels.end());
      set.labels.push_back(static_cast<int>(label));
    }
  }
  if (set.count() == 0)
    refuse(folder, "a folder for each class, with pictures in it", "an empty folder",
           "name the folder above the classes");
  set.kinds.assign(set.labels.size(), 0);
  return set;
}

}  // namespace neuroinhib::data
