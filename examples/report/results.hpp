#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace report {

/// What a page shows of an experiment's output folder: its settings, the blocks of its table.md, its verdicts, and
/// charts of its runs. Throws IoError, and FormatError for a results.json of another form.
[[nodiscard]] nlohmann::json results_section(const std::filesystem::path& folder);

}  // namespace report
