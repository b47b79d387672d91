// Uses the component of pictures: one pixel of PNG.
#include <cstdio>
#include <string_view>

#include <neuroinhib/data/image_files.hpp>

int main() {
  constexpr std::string_view kPixel(
      "\211PNG\r\n\032\n\000\000\000\rIHDR\000\000\000\001\000\000\000\001\010\000\000\000\000\072\176\233U"
      "\000\000\000\nIDAT\170\234\143\150\000\000\000\202\000\201\167\315\162\266\000\000\000\000IEND\256B\140\202",
      67);
  const auto picture = neuroinhib::data::decode_picture(kPixel, "one pixel");
  std::printf("%td × %td pixels of %d\n", picture.height, picture.width, picture.pixels[0]);
  return picture.pixels == std::vector<std::uint8_t>(3, 128) ? 0 : 1;
}
