#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace report {

/// One page of HTML that needs no other file: the sections as data, and what draws them. Texts of the sections stay
/// texts, whatever they contain.
[[nodiscard]] std::string page_of(const std::string& title, const nlohmann::json& sections);

}  // namespace report
