#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace report {

/// The blocks of a text in the Markdown that the experiments write, in their order: {"heading": text}, {"text": text},
/// {"list": [text…]} and {"table": {"columns": [text…], "rows": [[text…]…]}}. What is none of these is text.
[[nodiscard]] nlohmann::json blocks_of(const std::string& markdown);

}  // namespace report
