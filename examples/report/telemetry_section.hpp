#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace report {

/// What a page shows of a file of telemetry: charts over the training, and views of the tokens of at most `steps`
/// recorded steps, evenly spread, the last among them. Throws IoError, FormatError.
[[nodiscard]] nlohmann::json telemetry_section(const std::filesystem::path& file, std::size_t steps);

}  // namespace report
