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
  /// Of a run of so many steps; `data` tells the text apart from others.
  RunLog(const Settings& settings, const Row& row, Index seed, Index steps, std::string data)
      : settings_(settings), row_(row), data_(std::move(data)), seed_(seed), steps_(steps) {}

  /// Everything the run's bits depend on.
  [[nodiscard]] std::string configuration() const {
    return "row " + row_.name + ", seed " + std::to_string(seed_) + ", " + settings_.key() + ", data " + data_;
  }
  /// Steps in all, and since the last evaluation; the sum of the latter's losses.
  [[nodiscard]] Index step() const { return step_; }
  [[nodiscard]] Index step_of_epoch() const { return step_of_epoch_; }
  [[nodiscard]] double loss_sum() const { return loss_sum_; }
  [[nodiscard]] Index epochs() const { return static_cast<Index>(validation_.size()); }

  [[nodiscard]] std::string save() const {
    return nlohmann::json{{"step", step_},
                          {"step_of_epoch", step_of_epoch_},
                          {"loss_sum", loss_sum_},
                          {"seconds", seconds()},
                          {"validation", validation_},
                          {"loss", loss_},
                          {"fluctuation", fluctuation_},
                          {"chosen", chosen_}}
        .dump();
  }
  void load(const std::string& text) {
    const auto state = nlohmann::json::parse(text);
    step_ = first_step_ = state.at("step");
    step_of_epoch_ = state.at("step_of_epoch");
    loss_sum_ = state.at("loss_sum");
    seconds_before_ = state.at("seconds");
    validation_ = state.at("validation").get<std::vector<double>>();
    loss_ = state.at("loss").get<std::vector<double>>();
    fluctuation_ = state.at("fluctuation").get<std::vector<double>>();
    chosen_ = state.at("chosen").get<std::vector<std::vector<std::uint64_t>>>();
  }

  /// Before the first step.
  void start(const Evaluation& validation) { chosen_ = chosen_experts(validation); }
  /// After so many steps, which took so long in all; `loss_sum` is the epoch's so far.
  void advance(Index steps, double seconds, double loss_sum) {
    step_ += steps;
    step_of_epoch_ += steps;
    loss_sum_ = loss_sum;
    step_times_.push_back(1e3 * seconds / static_cast<double>(steps));
  }
  void end_epoch(const Evaluation& validation) {
    loss_.push_back(loss_sum_ / static_cast<double>(step_of_epoch_));
    validation_.push_back(validation.nats);
    const auto before = std::exchange(chosen_, chosen_experts(validation));
    fluctuation_ = language_model::fluctuation(before, chosen_);
    step_of_epoch_ = 0;
    loss_sum_ = 0;
    const double each = papers::seconds_since(start_) / static_cast<double>(std::max<Index>(step_ - first_step_, 1));
    std::fprintf(stderr, "%s, seed %td  step %td/%td  loss %.4f  validation %.4f  %.2f ms a step  %.0f s left\n",
                 row_.name.c_str(), seed_, step_, steps_, loss_.back(), validation.nats, step_ms(),
                 each * static_cast<double>(steps_ - step_));
  }
  /// Median time of a step in this call.
  [[nodiscard]] double step_ms() const {
    std::vector<double> times = step_times_;
    std::sort(times.begin(), times.end());
    return times.empty() ? 0 : times[times.size() / 2];
  }
  [[nodiscard]] double seconds() const { return seconds_before_ + papers::seconds_since(start_); }
  [[nodiscard]] const std::vector<double>& validation() const { return validation_; }
  [[nodiscard]] const std::vector<double>& loss() const { return loss_; }
  /// Of each layer's routing, between the last two evaluations.
  [[nodiscard]] const std::vector<double>& fluctuation() const { return fluctuation_; }

 private:
  const Settings& settings_;
  const Row& row_;
  std::string data_;
  Index seed_, steps_, step_ = 0, step_of_epoch_ = 0, first_step_ = 0;
  double loss_sum_ = 0, seconds_before_ = 0;
  papers::Clock::time_point start_ = papers::Clock::now();
  std::vector<double> validation_, loss_, fluctuation_, step_times_;
  ChosenExperts chosen_;  ///< at the last evaluation
};

}  // namespace language_model
