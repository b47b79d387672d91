#pragma once

#include <array>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include <neuroinhib/core/error.hpp>

namespace neuroinhib {

/// What a launcher told this process.
struct Launch {
  int rank = 0, size = 1;         ///< this process, and how many there are
  int local_rank = 0;             ///< among the ranks of this host: the GPU to take
  std::string launcher = "none";  ///< whose variables were read

  /// For people.
  [[nodiscard]] std::string text() const {
    return "rank " + std::to_string(rank) + " of " + std::to_string(size) + ", launcher " + launcher;
  }
};

namespace detail {

/// A launcher's variables. `present`: the one that tells that it is at work.
struct LauncherVariables {
  const char *launcher, *present, *rank, *size, *local_rank;
};

/// The innermost launcher first: torchrun is often started by mpirun or srun. Slurm counts inside a step alone: the
/// script of sbatch has its variables too, and nobody besides.
inline constexpr std::array kLaunchers{
    LauncherVariables{"torchrun", "TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK"},
    LauncherVariables{"Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                      "OMPI_COMM_WORLD_LOCAL_RANK"},
    LauncherVariables{"MPICH's mpirun", "PMI_SIZE", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
    LauncherVariables{"RANK and WORLD_SIZE", "WORLD_SIZE", "RANK", "WORLD_SIZE", "LOCAL_RANK"},
    LauncherVariables{"srun", "SLURM_STEP_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"}};

}  // namespace detail

/// Reads what mpirun, srun or torchrun left in the environment; without any, this process is alone. `variable` gives a
/// variable's text, or null. Throws ConfigError where a launcher's variables are missing or contradict one another.
template <class Variable>
[[nodiscard]] Launch launch(const Variable& variable) {
  const auto text_of = [&](const char* name) {
    const char* const text = variable(name);
    return std::string(text == nullptr ? "" : text);
  };
  const auto number = [&](const detail::LauncherVariables& of, const char* name) {
    const std::string text = text_of(name);
    int value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < 0)
      fail<ConfigError>("launch by " + std::string(of.launcher), "a whole number in " + std::string(name),
                        text.empty() ? "none" : "\"" + text + "\"",
                        "start every rank with the launcher, or unset " + std::string(of.present));
    return value;
  };
  for (const detail::LauncherVariables& of : detail::kLaunchers) {
    if (text_of(of.present).empty() || text_of(of.present) == "batch") continue;
    Launch result{number(of, of.rank), number(of, of.size), 0, of.launcher};
    if (!text_of(of.local_rank).empty()) result.local_rank = number(of, of.local_rank);
    if (result.rank >= result.size)
      fail<ConfigError>("launch by " + result.launcher, std::string(of.rank) + " below " + of.size,
                        std::to_string(result.rank) + " of " + std::to_string(result.size), "number the ranks from 0");
    return result;
  }
  return {};
}
[[nodiscard]] inline Launch launch() {
  return launch([](const char* name) { return std::getenv(name); });
}

}  // namespace neuroinhib
