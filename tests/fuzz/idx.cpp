// IDX files, plain and gzip: what is accepted says the same bytes as the file.

#include <neuroinhib/data/idx.hpp>

#include "gzip.hpp"
#include "support.hpp"

using namespace fuzzing;

namespace {

std::string written(const data::Idx& idx) {
  std::string file{'\0', '\0', '\x8', static_cast<char>(idx.extents.size())};
  for (const Index extent : idx.extents)
    for (int shift = 24; shift >= 0; shift -= 8) file += static_cast<char>(extent >> shift & 255);
  file.append(idx.bytes.begin(), idx.bytes.end());
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  constexpr std::size_t kMax = std::size_t{1} << 20;
  const std::string_view input = text_of(data, size);
  data::Idx plain, packed;
  const bool read = accepted([&] { plain = data::read_idx(folder.file("plain", input), kMax); });
  if (read && !input.starts_with("\x1f\x8b")) require(written(plain) == input, "what is read is what the file says");
  const bool same = accepted([&] { packed = data::read_idx(folder.file("packed", gzip(input)), kMax); });
  if (input.starts_with("\x1f\x8b")) return 0;
  require(same == read && packed.bytes == plain.bytes && packed.extents == plain.extents, "gzip changes nothing");

  // The same bytes as images, and as labels of four images.
  (void)folder.file("train-images-idx3-ubyte", input);
  (void)folder.file("train-labels-idx1-ubyte", std::string_view("\0\0\x8\x1\0\0\0\4\0\1\2\3", 12));
  data::ImageSet set;
  if (accepted([&] { set = data::load_images(folder.path(""), "train", kMax); })) {
    require(set.count() == 4 && static_cast<Index>(set.pixels.size()) == 4 * set.image_size(), "four whole images");
    (void)accepted([&] { const data::Scaling scaling(set); });
  }
  return 0;
}
