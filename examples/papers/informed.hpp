#pragma once

#include <string>

#include "options.hpp"

namespace papers {

/// How the second paper's routers inform each other.
struct Informed {
  std::string compare = "features", head = "average";
  double temperature = 1, deviation = 1;

  /// For a key of results.
  [[nodiscard]] std::string inform_text() const {
    return "tau " + shortest(temperature) + " of " + compare + ", sigma " + shortest(deviation) + ", head " + head;
  }
};

inline void add_inform_options(Options& options, Informed& informed) {
  options.number("--tau", informed.temperature);
  options.number("--sigma", informed.deviation);
  options.choice("--compare", informed.compare);
  options.choice("--head", informed.head);
}

}  // namespace papers
