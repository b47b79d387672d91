#pragma once

#include "settings.hpp"

namespace mixed_numbers {

/// Trains what the settings ask for, and reports it. The exit status.
int run_all(Settings settings);

}  // namespace mixed_numbers
