#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "../../common.hpp"
#include "settings.hpp"

namespace mixed_numbers {

using papers::Clock;
using papers::seconds_since;

/// Shares of right answers.
struct Accuracy {
  double all = 0, digits = 0, squares = 0;
};

/// Says how far a run is: on a terminal one line that is written over, elsewhere one line an epoch.
class ProgressLine {
 public:
  ProgressLine(std::string label, Index epochs);
  void step(Index epoch, double images_per_second, double seconds_left, double validation);
  void epoch(Index epoch, double images_per_second, double seconds_left, double validation) const;
  void clear() const;

 private:
  [[nodiscard]] std::string text(Index epoch, double images_per_second, double seconds_left, double validation) const;

  std::string label_;
  Index epochs_;
  bool terminal_;
  Clock::time_point shown_{};
};

/// What a run knows besides its network: where it stands, its curves and its clock. Kept in checkpoints as JSON.
class RunLog {
 public:
  RunLog(const Settings& settings, std::string row, Index seed);

  /// Everything the run's bits depend on.
  [[nodiscard]] std::string configuration() const;
  [[nodiscard]] Index epoch() const { return epoch_; }

  [[nodiscard]] std::string save() const;
  void load(const std::string& text);

  /// After each step: `share` of the epoch is done, of `images` in all.
  void step(double milliseconds, double share, Index images);
  void end_epoch(double loss, double validation, Index images);
  /// The run's entry in results.json.
  [[nodiscard]] nlohmann::json result(const Accuracy& test, Index samples);

 private:
  [[nodiscard]] double seconds() const { return seconds_before_ + seconds_since(start_); }
  [[nodiscard]] double last_validation() const { return validation_.empty() ? 0.0 : validation_.back(); }
  /// Images a second and seconds left, after so many epochs of this call.
  [[nodiscard]] std::pair<double, double> speed(double epochs, Index images) const;

  const Settings& settings_;
  std::string row_;
  Index seed_, epoch_ = 0, first_epoch_ = 0;
  double seconds_before_ = 0;
  Clock::time_point start_ = Clock::now();
  std::vector<double> validation_, loss_, step_times_;
  ProgressLine line_;
};

}  // namespace mixed_numbers
