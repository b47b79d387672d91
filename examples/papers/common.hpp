#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <neuroinhib/core/error.hpp>

/// What the papers' experiments share.
namespace papers {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Thrown between two steps after Ctrl-C; the last checkpoint stays.
struct Interrupted {};

/// Set by the signal handler.
inline volatile std::sig_atomic_t interrupt_wanted = 0;

/// main() of an experiment: `program` returns the exit status; interrupts and errors are told.
template <class Program>
int run_program(const Program& program) {
  std::signal(SIGINT, [](int) { interrupt_wanted = 1; });
  std::signal(SIGTERM, [](int) { interrupt_wanted = 1; });
  try {
    return program();
  } catch (const Interrupted&) {
    std::fprintf(stderr, "\ninterrupted; the same command with --resume goes on from the last checkpoint\n");
    return 130;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}

/// N of cuda:N. Throws ConfigError for another text.
inline int cuda_device(const std::string& device) {
  const std::string prefix = "cuda:", number = device.substr(0, prefix.size()) == prefix ? device.substr(5) : "";
  int value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (number.empty() || error != std::errc{} || end != number.data() + number.size())
    neuroinhib::fail<neuroinhib::ConfigError>("--device", "cpu or cuda:N", device, "write cuda:0 for the first GPU");
  return value;
}

/// Throws IoError where the folder neither is there nor can be made.
inline void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    neuroinhib::fail<neuroinhib::IoError>("output folder " + folder.string(), "a folder to write to", error.message(),
                                          "choose another with --out");
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
