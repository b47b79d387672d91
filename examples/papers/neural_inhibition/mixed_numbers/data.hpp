#pragma once

#include <cstdio>
#include <string>

#include <neuroinhib/data/built_in_digits.hpp>
#include <neuroinhib/data/idx.hpp>
#include <neuroinhib/data/mixed_numbers.hpp>

#include "../../common.hpp"
#include "settings.hpp"

namespace mixed_numbers {

using namespace neuroinhib;

inline data::Squares squares_kind(const std::string& name) {
  if (name == "paper") return data::Squares::paper;
  if (name == "research") return data::Squares::research;
  return name == "clean" ? data::Squares::clean : data::Squares::stoianov_zorzi;
}

inline constexpr std::uint64_t kDataSeed = 1;

/// MNIST's digits, or built-in ones. Sets settings.samples where it is 0.
inline data::ImageSet load_digits(Settings& settings) {
  constexpr Index kDigits = 60000;
  data::ImageSet digits;
  if (settings.data.empty()) {
    digits = data::make_built_in_digits(settings.samples > 0 ? settings.samples / 2 : kDigits, kDataSeed);
    std::printf("data: %s; name a folder with --data for MNIST\n", data::kBuiltInDigits);
  } else {
    digits = data::load_images(settings.data, "train");
    std::printf("data: %td digits from %s\n", digits.count(), settings.data.c_str());
    digits.source = papers::name_of(settings.data);
  }
  if (settings.samples == 0) settings.samples = 2 * digits.count();
  return digits;
}

/// The images of an experiment, of one drawing: the same for every row. load_digits() comes before.
inline data::ImageSet draw_images(const Settings& settings, const data::ImageSet& digits, Index drawing = 0) {
  return data::make_mixed_numbers(digits, squares_kind(settings.squares), settings.samples,
                                  kDataSeed + static_cast<std::uint64_t>(drawing));
}
/// The images of an experiment with one drawing. Sets settings.samples where it is 0.
inline data::ImageSet load_data(Settings& settings) {
  const data::ImageSet digits = load_digits(settings);
  return draw_images(settings, digits);
}

/// Tells a set of images apart from others.
inline std::string identity(const data::ImageSet& set) {
  return set.source + ", fingerprint " + papers::fingerprint(set.pixels);
}

}  // namespace mixed_numbers
