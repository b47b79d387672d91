#pragma once

#include <string>
#include <vector>

#include "../informed.hpp"

namespace vision {

using neuroinhib::Index;

/// Extents of the network and how it is trained.
struct Network {
  Index blocks = 8, width = 512, hidden = 2048, heads = 8, experts = 8, chosen = 2;
  Index patch = 0;                ///< side in pixels; 0: by the images' side
  std::vector<Index> experts_in;  ///< numbers of the blocks with experts
  Index batch = 512, steps = 20000, epoch_steps = 1000, warmup = 1000;
  double learning_rate = 1e-3, decay = 0.1;

  /// For people to read: "8 blocks × 512, 8 heads, 2 of 8 experts in blocks 5, 7".
  [[nodiscard]] std::string name() const;
};

struct Settings : papers::Call, papers::Informed {
  std::string set = "own", balance = "importance";
  Index side = 64, samples = 0, test_images = 0, attacked_images = 1000;
  double epsilon = 8.0 / 255;
  Network network;

  /// The patch for images of that size. Throws ConfigError where it does not divide them.
  [[nodiscard]] Index patch_for(Index height, Index width) const;
  /// What a run's result depends on, besides its row, its seed and the images: the key under which results are kept and
  /// resumed.
  [[nodiscard]] std::string key() const;
};

/// Reads the command line, without the program's name. Throws ConfigError, and HelpWanted for --help.
Settings read_settings(const std::vector<std::string>& arguments);

}  // namespace vision
