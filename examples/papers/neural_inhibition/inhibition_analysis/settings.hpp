#pragma once

#include <string>
#include <vector>

#include "../mixed_numbers/settings.hpp"

namespace inhibition_analysis {

using mixed_numbers::Settings;

/// Reads the command line, without the program's name. Throws ConfigError, and HelpWanted for --help.
Settings read_settings(const std::vector<std::string>& arguments);

}  // namespace inhibition_analysis
