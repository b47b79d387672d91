#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace report {

/// The bytes as RFC 4648 writes them.
[[nodiscard]] std::string base64(std::span<const std::byte> bytes);
template <class Number>
[[nodiscard]] std::string base64(const std::vector<Number>& numbers) {
  return base64(std::as_bytes(std::span(numbers)));
}

/// A picture of values [columns, rows], columns side by side, as a chart: 255 levels of their range, and one for those
/// that are not finite. `x` has a title, and may have values and names of the columns.
[[nodiscard]] nlohmann::json heat(const std::string& title, const std::string& note, const nlohmann::json& x,
                                  const std::string& y, std::size_t columns, std::size_t rows,
                                  const std::vector<float>& values);

}  // namespace report
