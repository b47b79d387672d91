#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "../../run_log.hpp"
#include "settings.hpp"

namespace mixed_numbers {

using papers::Clock;
using papers::seconds_since;

/// Shares of right answers.
struct Accuracy {
  double all = 0, digits = 0, squares = 0;
  std::array<double, 10> of_squares{};  ///< by their number
};

/// What results.json says of all runs. `source` says what the images are, and `data` tells them apart from others.
nlohmann::json described(const Settings& settings, const std::string& source, const std::string& data);

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

/// What a run of so many epochs knows besides its network: where it stands, its curves and its clock. Kept in
/// checkpoints as JSON.
class RunLog {
 public:
  /// `data` tells the images apart from others.
  RunLog(const Settings& settings, std::string row, Index seed, std::string data);

  /// Everything the run's bits depend on, and the epoch under way beside it.
  [[nodiscard]] std::string configuration() const;
  [[nodiscard]] std::string where() const { return configuration() + ", epoch " + std::to_string(state_.epoch); }
  [[nodiscard]] Index batch() const { return settings_.batch; }
  [[nodiscard]] Index epochs() const { return state_.epoch; }
  [[nodiscard]] bool ended() const { return state_.epoch >= settings_.epochs; }
  /// Steps of this epoch, images that they trained on, and the sum of their losses.
  [[nodiscard]] Index step() const { return state_.steps; }
  [[nodiscard]] Index taken() const { return state_.images; }
  [[nodiscard]] double loss_sum() const { return state_.loss_sum; }

  [[nodiscard]] std::string save() const;
  /// Goes on where save() was called. Throws FormatError, and changes nothing then.
  void load(const papers::Notes& notes);

  void advance(const papers::Steps& steps);
  void end_epoch(const Accuracy& validation);
  /// The run's entry in results.json.
  [[nodiscard]] nlohmann::json result(const Accuracy& test, Index samples);

 private:
  /// What a checkpoint keeps.
  struct State {
    Index epoch = 0, images = 0, steps = 0;  ///< the latter two of this epoch
    double loss_sum = 0;
    std::vector<double> validation, digits, squares, loss;
    std::vector<double> of_squares;  ///< ten an epoch
  };

  [[nodiscard]] double last_validation() const { return state_.validation.empty() ? 0.0 : state_.validation.back(); }
  /// Images a second in this call, and seconds left.
  [[nodiscard]] std::pair<double, double> speed() const;

  const Settings& settings_;
  std::string row_, data_;
  Index seed_, all_images_ = 0, images_of_call_ = 0;
  State state_;
  papers::RunClock clock_;
  ProgressLine line_;
};

}  // namespace mixed_numbers
