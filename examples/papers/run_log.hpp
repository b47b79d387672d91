#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "common.hpp"
#include "notes.hpp"

namespace papers {

/// Steps of training in an epoch's order.
struct Steps {
  Index count, numbers, all;  ///< steps; numbers of the order that they took, and all of the order
  double seconds, loss_sum;   ///< of these steps; of all steps of the epoch so far
};

/// The time that a run takes.
class RunClock {
 public:
  explicit RunClock(double seconds_before = 0) : before_(seconds_before) {}

  void advance(const Steps& steps) { step_times_.push_back(1e3 * steps.seconds / static_cast<double>(steps.count)); }
  /// In this call, and with what earlier calls took.
  [[nodiscard]] double of_call() const { return seconds_since(start_); }
  [[nodiscard]] double seconds() const { return before_ + of_call(); }
  /// Median time of a step in this call.
  [[nodiscard]] double step_ms() const;

 private:
  double before_;
  Clock::time_point start_ = Clock::now();
  std::vector<double> step_times_;
};

/// [layers, tokens] a bit for each chosen expert, modulo 64.
using ChosenExperts = std::vector<std::vector<std::uint64_t>>;

/// Of an evaluation's layers.
template <class Layers>
ChosenExperts chosen_experts(const Layers& layers) {
  ChosenExperts chosen;
  for (const auto& layer : layers) chosen.push_back(layer.chosen);
  return chosen;
}

/// Share of tokens whose chosen experts differ, per layer: the routing fluctuation between two evaluations.
std::vector<double> fluctuation(const ChosenExperts& before, const ChosenExperts& after);

/// How far a run goes, and what it compares between evaluations.
struct Extent {
  Index steps, epoch, batch;  ///< steps in all, of an epoch (the last one may be shorter), and numbers a step
  Index layers, tokens;       ///< with experts; of the validation data

  [[nodiscard]] Index epochs() const { return (steps + epoch - 1) / epoch; }
  [[nodiscard]] Index first_step(Index of_epoch) const { return std::min(of_epoch * epoch, steps); }
};

/// What a run of so many steps knows besides its model: where it stands, its curves and its clock. Kept in checkpoints
/// as JSON.
class RunLog {
 public:
  /// `rest`: what the run's bits depend on besides its row and seed.
  RunLog(std::string row, Index seed, std::string rest, const Extent& extent)
      : row_(std::move(row)), rest_(std::move(rest)), seed_(seed), extent_(extent) {}

  /// Everything the run's bits depend on, and the step under way beside it.
  [[nodiscard]] std::string configuration() const {
    return "row " + row_ + ", seed " + std::to_string(seed_) + ", " + rest_;
  }
  [[nodiscard]] std::string where() const { return configuration() + ", step " + std::to_string(state_.step); }
  [[nodiscard]] const Extent& extent() const { return extent_; }
  [[nodiscard]] Index batch() const { return extent_.batch; }
  /// Steps in all, and since the last evaluation; numbers that the latter took, and the sum of their losses.
  [[nodiscard]] Index step() const { return state_.step; }
  [[nodiscard]] Index step_of_epoch() const { return state_.step - extent_.first_step(epochs()); }
  [[nodiscard]] Index taken() const { return step_of_epoch() * extent_.batch; }
  [[nodiscard]] double loss_sum() const { return state_.loss_sum; }
  [[nodiscard]] Index epochs() const { return std::ssize(state_.validation); }
  [[nodiscard]] bool ended() const { return epochs() >= extent_.epochs(); }

  [[nodiscard]] std::string save() const;
  /// Goes on where save() was called. Throws FormatError, and changes nothing then.
  void load(const Notes& notes);

  /// Before the first step.
  void start(ChosenExperts validation) { state_.chosen = std::move(validation); }
  void advance(const Steps& steps) {
    state_.step += steps.count;
    state_.loss_sum = steps.loss_sum;
    clock_.advance(steps);
  }
  /// After an evaluation of the validation data; `text` tells `validation` to people.
  void end_epoch(ChosenExperts chosen, double validation, const std::string& text);

  /// Median time of a step in this call.
  [[nodiscard]] double step_ms() const { return clock_.step_ms(); }
  [[nodiscard]] double seconds() const { return clock_.seconds(); }
  [[nodiscard]] const std::vector<double>& validation() const { return state_.validation; }
  [[nodiscard]] const std::vector<double>& loss() const { return state_.loss; }
  /// Of each layer's routing, between the last two evaluations.
  [[nodiscard]] const std::vector<double>& fluctuation() const { return state_.fluctuation; }

 private:
  /// What a checkpoint keeps.
  struct State {
    Index step = 0;
    double loss_sum = 0;
    std::vector<double> validation, loss, fluctuation;
    ChosenExperts chosen;  ///< at the last evaluation
  };

  std::string row_, rest_;
  Index seed_, first_step_ = 0;
  Extent extent_;
  State state_;
  RunClock clock_;
};

/// Numbers below `all` for an epoch's steps: passes over all of them, each in its own order.
std::vector<Index> order_of(const Extent& extent, Index epoch, Index all, Index seed);

}  // namespace papers
