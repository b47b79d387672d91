#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace neuroinhib {
namespace detail {

/// Processors that a cgroup's limit comes to, rounded up, from "quota period" in one unit; 0 where there is no limit
/// ("max …" in version 2 of cgroups, "-1 …" in version 1).
[[nodiscard, gnu::cold]] inline int processors_of_quota(const std::string& text) {
  double quota = 0, period = 0;
  if (std::sscanf(text.c_str(), "%lf %lf", &quota, &period) != 2 || quota <= 0 || period <= 0) return 0;
  return std::max(1, static_cast<int>((quota + period - 1) / period));
}

/// Calls visit(line) for the lines of a small file; for none where it cannot be read.
template <class Visit>
void for_each_line(const std::string& path, const Visit& visit) {
  const struct File {
    std::FILE* handle;
    ~File() {
      if (handle != nullptr) std::fclose(handle);
    }
  } file{std::fopen(path.c_str(), "r")};
  char line[4096];
  while (file.handle != nullptr && std::fgets(line, sizeof line, file.handle) != nullptr) {
    std::string_view text(line);
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    visit(std::string(text));
  }
}
[[nodiscard, gnu::cold]] inline std::string first_line(const std::string& path) {
  std::string first;
  for_each_line(path, [&](const std::string& line) {
    if (first.empty()) first = line;
  });
  return first;
}

/// The limit of one cgroup's folder, by either version's files.
[[nodiscard, gnu::cold]] inline int processors_of_folder(const std::string& folder) {
  const int limit = processors_of_quota(first_line(folder + "/cpu.max"));
  return limit > 0 ? limit
                   : processors_of_quota(first_line(folder + "/cpu.cfs_quota_us") + " " +
                                         first_line(folder + "/cpu.cfs_period_us"));
}

/// The least limit among this process's cgroup and those above it; 0 for none.
[[nodiscard, gnu::cold]] inline int cgroup_processors() {
  int least = 0;
  for_each_line("/proc/self/cgroup", [&](const std::string& line) {  // "number:controllers:path"
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) return;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers != "cpu" && controllers != "cpu,cpuacct") return;
    const std::string root = controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controllers;
    std::string path = line.substr(second + 1);
    while (true) {
      const int limit = processors_of_folder(root + path);
      if (limit > 0) least = least == 0 ? limit : std::min(least, limit);
      const std::size_t above = path.rfind('/');
      if (above == std::string::npos) break;
      path.resize(above);
    }
  });
  return least;
}

}  // namespace detail

/// Processors that this process may really use: those it is bound to, within the quota of its cgroup. At least 1.
[[nodiscard]] inline int available_processors() {
  int count = 1;
#if defined(_SC_NPROCESSORS_ONLN)
  count = std::max(1, static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
#endif
#if defined(__linux__)
  cpu_set_t bound;
  if (::sched_getaffinity(0, sizeof bound, &bound) == 0) count = std::max(1, CPU_COUNT(&bound));
#endif
  const int quota = detail::cgroup_processors();
  return quota > 0 ? std::min(count, quota) : count;
}

}  // namespace neuroinhib
