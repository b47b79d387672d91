#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace report {

/// What a page shows of an experiment's output folder, or of a results.json alone: its settings, the blocks of its
/// table.md, its verdicts, figures and charts of its runs. Throws IoError, and FormatError for a file of another form.
[[nodiscard]] nlohmann::json results_section(const std::filesystem::path& path);

}  // namespace report
