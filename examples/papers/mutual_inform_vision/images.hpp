#pragma once

#include <optional>
#include <string>
#include <vector>

#include <neuroinhib/data/image_set.hpp>

#include "settings.hpp"

namespace vision {

namespace data = neuroinhib::data;

/// The experiment's images: the same for every row and seed.
struct Images {
  data::ImageSet training, validation, test;
  data::ImageSet outliers;  ///< of none of the classes
  std::string outliers_name;
  std::optional<data::ImageSet> renditions, adversarial;  ///< ImageNet-R and -A, where a user has them
  Index classes = 0;

  /// Tells the images apart from others.
  [[nodiscard]] std::string name() const;
};

/// Throws IoError, FormatError and ConfigError.
Images load_images(const Settings& settings);

/// At most so many of a set, spread evenly over all; 0: all.
data::ImageSet some_of(const data::ImageSet& set, Index most);

}  // namespace vision
