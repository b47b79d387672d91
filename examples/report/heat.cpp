#include "heat.hpp"

#include <algorithm>
#include <cmath>

namespace report {

using nlohmann::json;

std::string base64(std::span<const std::byte> bytes) {
  constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(bytes.size() - at, 3);
    unsigned group = 0;
    for (std::size_t i = 0; i < 3; ++i) group = group << 8 | (i < count ? std::to_integer<unsigned>(bytes[at + i]) : 0);
    for (std::size_t i = 0; i < 4; ++i) text += i <= count ? kDigits[group >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

json heat(const std::string& title, const std::string& note, const json& x, const std::string& y, std::size_t columns,
          std::size_t rows, const std::vector<float>& values) {
  constexpr std::uint8_t kMax = 254, kNotFinite = 255;
  float low = INFINITY, high = -INFINITY;
  for (const float value : values)
    if (std::isfinite(value)) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  if (low > high) low = high = 0;
  const float scale = high > low ? kMax / (high - low) : 0;
  std::vector<std::uint8_t> levels;
  for (const float value : values)
    levels.push_back(std::isfinite(value) ? static_cast<std::uint8_t>(std::lround(scale * (value - low))) : kNotFinite);
  return {{"kind", "heat"},           {"title", title},     {"note", note}, {"x", x},
          {"y", {{"title", y}}},      {"columns", columns}, {"rows", rows}, {"series", json::array()},
          {"levels", base64(levels)}, {"low", low},         {"high", high}};
}

}  // namespace report
