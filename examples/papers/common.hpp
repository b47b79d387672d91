#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/core/error.hpp>

/// What the papers' experiments share.
namespace papers {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Thrown for --help.
struct HelpWanted {
  std::string text;
};

/// main() of an experiment: `program(arguments)` returns the exit status; help and errors are told.
template <class Program>
int run_program(int count, char** arguments, const Program& program) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a log shows each run as it ends
  try {
    return program(std::vector<std::string>(arguments + 1, arguments + count));
  } catch (const HelpWanted& help) {
    std::printf("%s", help.text.c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}

/// The shortest decimal text that is read back as the same number.
template <class Number>
std::string shortest(Number value) {
  std::array<char, 64> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

/// An order that begins at a place, and ends with what stands before: as long as the whole, since what a GPU replays
/// reads from where the first order lay.
inline std::vector<std::ptrdiff_t> rotated(std::span<const std::ptrdiff_t> order, std::ptrdiff_t place) {
  std::vector<std::ptrdiff_t> result(order.size());
  std::rotate_copy(order.begin(), order.begin() + place, order.end(), result.begin());
  return result;
}

/// The last name of a path, whatever it ends with.
inline std::string name_of(const std::filesystem::path& path) {
  return (std::filesystem::absolute(path) / "").lexically_normal().parent_path().filename().string();
}

/// A fingerprint of data, in hexadecimal digits (FNV-1a, 64 bits).
template <class T>
std::string fingerprint(const std::vector<T>& values) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  for (std::size_t i = 0; i < values.size() * sizeof(T); ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash));
  return text.data();
}

struct Summary {
  double mean = 0, deviation = 0;
  std::size_t count = 0;

  explicit Summary(const std::vector<double>& values) : count(values.size()) {
    for (const double value : values) mean += value / static_cast<double>(count);
    for (const double value : values) deviation += (value - mean) * (value - mean);
    deviation = count > 1 ? std::sqrt(deviation / static_cast<double>(count - 1)) : 0;
  }
};

/// A number as printf writes it.
inline std::string text(const char* format, double value) {
  std::array<char, 64> line;
  std::snprintf(line.data(), line.size(), format, value);
  return line.data();
}
/// A mean, and the deviation where there is one.
inline std::string with_deviation(const char* format, const Summary& summary) {
  return text(format, summary.mean) + (summary.count > 1 ? " ± " + text(format, summary.deviation) : "");
}

/// The two-sided 95 % quantile of Student's t; the normal law's beyond 30 degrees of freedom, with its first
/// correction.
inline double student_95(std::size_t degrees) {
  constexpr std::array<double, 30> kQuantiles{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                              2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                                              2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
  return degrees <= kQuantiles.size() ? kQuantiles[degrees - 1] : 1.960 + 2.4 / static_cast<double>(degrees);
}

/// Half of the 95 % interval of a mean.
inline double half_interval(const Summary& summary) {
  return student_95(summary.count - 1) * summary.deviation / std::sqrt(static_cast<double>(summary.count));
}

/// Fills up on the left, counting characters, not bytes.
inline std::string pad(std::string text, std::size_t width) {
  const auto length = static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  return length < width ? std::string(width - length, ' ') + text : text;
}

}  // namespace papers
