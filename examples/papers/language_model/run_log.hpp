#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "../common.hpp"
#include "evaluation.hpp"

namespace language_model {

/// What a run knows besides its model: where it stands, its curves and its clock. Kept in checkpoints as JSON.
class RunLog {
 public:
  RunLog(const Settings& settings, const Row& row, Index seed, Index steps)
      : settings_(settings), row_(row), seed_(seed), steps_(steps) {}

  /// Everything the run's bits depend on.
  [[nodiscard]] std::string configuration() const {
    return "row " + row_.name + ", seed " + std::to_string(seed_) + ", " + settings_.key();
  }
  [[nodiscard]] Index step() const { return step_; }
  [[nodiscard]] const std::string& name() const { return row_.name; }

  [[nodiscard]] std::string save() const {
    return nlohmann::json{{"step", step_},
                          {"seconds", seconds()},
                          {"validation", validation_},
                          {"loss", loss_},
                          {"fluctuation", fluctuation_}}
        .dump();
  }
  void load(const std::string& text) {
    const auto state = nlohmann::json::parse(text);
    step_ = first_step_ = state.at("step");
    seconds_before_ = state.at("seconds");
    validation_ = state.at("validation").get<std::vector<double>>();
    loss_ = state.at("loss").get<std::vector<double>>();
    fluctuation_ = state.at("fluctuation").get<std::vector<double>>();
  }

  /// After so many steps of training, which took so long, and an evaluation; `fluctuation` is of each layer's routing
  /// since the evaluation before.
  void end_epoch(Index steps, double training_seconds, double loss, double validation,
                 std::vector<double> fluctuation) {
    step_ += steps;
    loss_.push_back(loss);
    validation_.push_back(validation);
    fluctuation_ = std::move(fluctuation);
    step_times_.push_back(1e3 * training_seconds / static_cast<double>(steps));
    const double each = papers::seconds_since(start_) / static_cast<double>(step_ - first_step_);
    std::fprintf(stderr, "%s, seed %td  step %td/%td  loss %.4f  validation %.4f  %.2f ms a step  %.0f s left\n",
                 row_.name.c_str(), seed_, step_, steps_, loss, validation, step_times_.back(),
                 each * static_cast<double>(steps_ - step_));
  }
  /// Median time of a step, over the epochs of this call.
  [[nodiscard]] double step_ms() const {
    std::vector<double> times = step_times_;
    std::sort(times.begin(), times.end());
    return times.empty() ? 0 : times[times.size() / 2];
  }
  [[nodiscard]] double seconds() const { return seconds_before_ + papers::seconds_since(start_); }
  [[nodiscard]] const std::vector<double>& validation() const { return validation_; }
  [[nodiscard]] const std::vector<double>& loss() const { return loss_; }
  [[nodiscard]] const std::vector<double>& fluctuation() const { return fluctuation_; }

 private:
  const Settings& settings_;
  const Row& row_;
  Index seed_, steps_, step_ = 0, first_step_ = 0;
  double seconds_before_ = 0;
  papers::Clock::time_point start_ = papers::Clock::now();
  std::vector<double> validation_, loss_, fluctuation_, step_times_;
};

}  // namespace language_model
