// PNG and JPEG: what is accepted has all its pixels, and fits any size.

#include <neuroinhib/data/image_files.hpp>

#include "support.hpp"

using namespace fuzzing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr Index kMax = Index{1} << 16, kSide = 8;
  data::Picture picture;
  if (!accepted([&] { picture = data::decode_picture(text_of(data, size), "input", kMax); })) return 0;
  const auto whole = [](const data::Picture& p) {
    return p.height > 0 && p.width > 0 && static_cast<Index>(p.pixels.size()) == p.height * p.width * p.channels;
  };
  require(whole(picture) && picture.height * picture.width <= kMax, "all pixels, and no more than allowed");
  const data::Picture fit = data::with_channels(data::resized(data::central_square(picture), kSide, kSide), 1);
  require(whole(fit) && fit.pixels.size() == std::size_t{kSide} * kSide, "a square of the size asked for");
  return 0;
}
