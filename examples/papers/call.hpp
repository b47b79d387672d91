#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <neuroinhib/core/tensor.hpp>

namespace papers {

using neuroinhib::Index;

/// The profiles exclude each other; `full` is what none means.
enum class Profile { full, quick };

/// What to do with the results that an output folder holds.
enum class Earlier { refuse, resume, overwrite };

/// What every experiment is told about a call.
struct Call {
  std::vector<std::string> rows;  ///< of the experiment's table
  Index seeds = 1;
  int ranks = 1;                   ///< processes that train each run together
  int threads = 0;                 ///< 0: all processors
  std::optional<int> cuda_device;  ///< none: the CPU
  std::string precision = "tf32";  ///< of products on a GPU: tf32, bf16 or strict
  double save_seconds = 60;        ///< between two checkpoints; 0: one after every step
  std::filesystem::path data, out;
  Profile profile = Profile::full;
  Earlier earlier = Earlier::refuse;
  std::string command;  ///< as given, for people to repeat

  [[nodiscard]] bool on_cuda() const { return cuda_device.has_value(); }
  /// What a configuration says of the precision behind the rest: nothing of the default one.
  [[nodiscard]] std::string precision_text() const {
    return precision == Call{}.precision ? "" : ", products in " + precision;
  }
  [[nodiscard]] bool resumes() const { return earlier == Earlier::resume; }
};

}  // namespace papers
