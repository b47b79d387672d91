#pragma once

#include <array>
#include <string_view>

#include <neuroinhib/data/resize.hpp>

/// Images drawn otherwise, as ImageNet-R's paintings and cartoons are: what stands for it where it is not at hand.
namespace vision {

namespace data = neuroinhib::data;

inline constexpr std::array<std::string_view, 6> kRenditions{"outline",    "negative", "halftone",
                                                             "posterised", "embossed", "turned"};

/// All images of a set in rendition number `rendition` of kRenditions.
[[nodiscard]] data::ImageSet rendered(const data::ImageSet& set, std::size_t rendition);

}  // namespace vision
