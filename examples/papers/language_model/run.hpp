#pragma once

#include "settings.hpp"

namespace language_model {

/// Trains what the settings ask for, and reports it. The exit status.
int run_all(const Settings& settings);

}  // namespace language_model
