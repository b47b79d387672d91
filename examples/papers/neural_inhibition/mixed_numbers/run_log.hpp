#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "../../common.hpp"
#include "../../notes.hpp"
#include "settings.hpp"

namespace mixed_numbers {

using papers::Clock;
using papers::seconds_since;

/// Shares of right answers.
struct Accuracy {
  double all = 0, digits = 0, squares = 0;
  std::array<double, 10> of_squares{};  ///< by their number
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
  /// `data` tells the images apart from others.
  RunLog(const Settings& settings, std::string row, Index seed, std::string data);

  /// Everything the run's bits depend on.
  [[nodiscard]] std::string configuration() const;
  [[nodiscard]] Index epoch() const { return state_.epoch; }
  /// Images of this epoch that were trained on, and the sum of its steps' losses.
  [[nodiscard]] Index images() const { return state_.images; }
  [[nodiscard]] double loss_sum() const { return state_.loss_sum; }

  [[nodiscard]] std::string save() const;
  /// Goes on where save() was called. Throws FormatError, and changes nothing then.
  void load(const papers::Notes& notes);

  /// After steps of so many milliseconds each on so many images of an epoch's `all`; `loss_sum` is the epoch's so far.
  void advance(Index steps, double milliseconds, Index images, Index all, double loss_sum);
  void end_epoch(const Accuracy& validation);
  /// The run's entry in results.json.
  [[nodiscard]] nlohmann::json result(const Accuracy& test, Index samples);

 private:
  /// What a checkpoint keeps.
  struct State {
    Index epoch = 0, images = 0, steps = 0;  ///< the latter two of this epoch
    double loss_sum = 0, seconds_before = 0;
    std::vector<double> validation, digits, squares, loss;
    std::vector<double> of_squares;  ///< ten an epoch
  };

  [[nodiscard]] double seconds() const { return state_.seconds_before + seconds_since(start_); }
  [[nodiscard]] double last_validation() const { return state_.validation.empty() ? 0.0 : state_.validation.back(); }
  /// Images a second in this call, and seconds left.
  [[nodiscard]] std::pair<double, double> speed() const;

  const Settings& settings_;
  std::string row_, data_;
  Index seed_, all_images_ = 0, images_of_call_ = 0;
  State state_;
  Clock::time_point start_ = Clock::now();
  std::vector<double> step_times_;
  ProgressLine line_;
};

}  // namespace mixed_numbers
