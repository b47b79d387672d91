// CIFAR files, plain and gzip: what is accepted holds a whole image for each label.

#include <neuroinhib/data/cifar.hpp>

#include "gzip.hpp"
#include "support.hpp"

using namespace fuzzing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  constexpr std::size_t kMax = std::size_t{1} << 20;
  const std::string_view input = text_of(data, size);
  const auto plain = folder.file("plain", input), packed = folder.file("packed", gzip(input));
  for (const data::CifarLabels& kind : {data::kCifar10, data::kCifar100}) {
    data::ImageSet set, same;
    const bool read = accepted([&] { set = data::read_cifar(plain, kind, kMax); });
    if (!read) continue;
    require(static_cast<Index>(set.pixels.size()) == set.count() * set.image_size(), "an image a label");
    for (const int label : set.labels) require(label >= 0 && label < kind.classes.back(), "labels within the classes");
    if (input.starts_with("\x1f\x8b")) continue;
    require(accepted([&] { same = data::read_cifar(packed, kind, kMax); }) && same.pixels == set.pixels,
            "gzip changes nothing");
  }
  return 0;
}
