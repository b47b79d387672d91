#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

#include <neuroinhib/data/image_files.hpp>

/// Pictures in memory, as PNG and JPEG files.
namespace written {

using neuroinhib::Index;
using neuroinhib::data::Picture;

/// A smooth picture, which JPEG keeps nearly.
inline Picture slopes(Index height, Index width) {
  Picture picture{height, width, 3, {}};
  for (Index y = 0; y < height; ++y)
    for (Index x = 0; x < width; ++x)
      for (const Index value : {y * 255 / height, x * 255 / width, (x + y) * 255 / (height + width)})
        picture.pixels.push_back(static_cast<std::uint8_t>(value));
  return picture;
}

/// A PNG of memory in one of libpng's formats.
inline std::string png(Index height, Index width, std::uint32_t format, const void* pixels,
                       const void* colours = nullptr, std::uint32_t entries = 0) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.height = static_cast<png_uint_32>(height);
  image.width = static_cast<png_uint_32>(width);
  image.format = format;
  image.colormap_entries = entries;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, pixels, 0, colours);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels, 0, colours) == 0)
    throw std::runtime_error(image.message);
  bytes.resize(size);
  return bytes;
}
inline std::string png(const Picture& picture) {
  return png(picture.height, picture.width, PNG_FORMAT_RGB, picture.pixels.data());
}

/// A JPEG in so many components of that kind.
inline std::string jpeg(const Picture& picture, J_COLOR_SPACE kind, int components, bool progressive = false) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_height = static_cast<JDIMENSION>(picture.height);
  info.image_width = static_cast<JDIMENSION>(picture.width);
  info.input_components = components;
  info.in_color_space = kind;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  if (progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  for (Index y = 0; y < picture.height; ++y) {
    auto* row = const_cast<std::uint8_t*>(picture.pixels.data()) + y * picture.width * components;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string bytes(reinterpret_cast<const char*>(memory), size);
  std::free(memory);
  return bytes;
}
inline std::string jpeg(const Picture& picture, bool progressive = false) {
  return jpeg(picture, JCS_RGB, 3, progressive);
}

}  // namespace written
