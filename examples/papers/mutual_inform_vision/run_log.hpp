#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "../common.hpp"
#include "../notes.hpp"
#include "evaluation.hpp"

namespace vision {

/// How far a run goes, and what it compares between evaluations.
struct Extent {
  Index steps, epoch;    ///< steps in all, and of an epoch: the last one may be shorter
  Index layers, tokens;  ///< with experts; of the validation images

  [[nodiscard]] Index epochs() const { return (steps + epoch - 1) / epoch; }
  [[nodiscard]] Index first_step(Index of_epoch) const { return std::min(of_epoch * epoch, steps); }
};

/// What a run knows besides its model: where it stands, its curves and its clock. Kept in checkpoints as JSON.
class RunLog {
 public:
  /// `images` tells the images apart from others.
  RunLog(const Settings& settings, std::string row, Index seed, const Extent& extent, std::string images)
      : settings_(settings), row_(std::move(row)), images_(std::move(images)), seed_(seed), extent_(extent) {}

  /// Everything the run's bits depend on.
  [[nodiscard]] std::string configuration() const {
    return "row " + row_ + ", seed " + std::to_string(seed_) + ", " + settings_.key() + ", images " + images_;
  }
  /// Steps in all, and since the last evaluation; the sum of the latter's losses.
  [[nodiscard]] Index step() const { return state_.step; }
  [[nodiscard]] Index step_of_epoch() const { return state_.step - extent_.first_step(epochs()); }
  [[nodiscard]] double loss_sum() const { return state_.loss_sum; }
  [[nodiscard]] Index epochs() const { return static_cast<Index>(state_.validation.size()); }

  [[nodiscard]] std::string save() const {
    return papers::storable({{"step", state_.step},
                             {"loss_sum", state_.loss_sum},
                             {"seconds", seconds()},
                             {"validation", state_.validation},
                             {"loss", state_.loss},
                             {"fluctuation", state_.fluctuation},
                             {"chosen", state_.chosen}})
        .dump();
  }
  /// Goes on where save() was called. Throws FormatError, and changes nothing then.
  void load(const papers::Notes& notes) {
    State state;
    state.validation = notes.numbers("validation", 0, extent_.epochs());
    const auto epochs = static_cast<Index>(state.validation.size());
    state.step = notes.count("step", extent_.first_step(epochs), extent_.first_step(epochs + 1));
    state.loss_sum = notes.number("loss_sum");
    state.seconds_before = notes.number("seconds");
    state.loss = notes.numbers("loss", epochs, epochs);
    const Index compared = epochs > 0 ? extent_.layers : 0;
    state.fluctuation = notes.numbers("fluctuation", compared, compared);
    // Before the first step they are those of start(), which follows: a run may have ended in its first evaluation.
    if (state.step > 0) state.chosen = notes.sets("chosen", extent_.layers, extent_.tokens);
    first_step_ = state.step;
    state_ = std::move(state);
  }

  /// Before the first step.
  void start(const Answers& validation) { state_.chosen = chosen_experts(validation); }
  /// After so many steps, which took so long in all; `loss_sum` is the epoch's so far.
  void advance(Index steps, double seconds, double loss_sum) {
    state_.step += steps;
    state_.loss_sum = loss_sum;
    step_times_.push_back(1e3 * seconds / static_cast<double>(steps));
  }
  void end_epoch(const Answers& validation, double accuracy) {
    state_.loss.push_back(state_.loss_sum / static_cast<double>(step_of_epoch()));
    state_.validation.push_back(accuracy);
    const auto before = std::exchange(state_.chosen, chosen_experts(validation));
    state_.fluctuation = vision::fluctuation(before, state_.chosen);
    state_.loss_sum = 0;
    const double each =
        papers::seconds_since(start_) / static_cast<double>(std::max<Index>(state_.step - first_step_, 1));
    std::fprintf(stderr, "%s, seed %td  step %td/%td  loss %.4f  validation %.2f %%  %.2f ms a step  %.0f s left\n",
                 row_.c_str(), seed_, state_.step, extent_.steps, state_.loss.back(), 100 * accuracy, step_ms(),
                 each * static_cast<double>(extent_.steps - state_.step));
  }
  /// Median time of a step in this call.
  [[nodiscard]] double step_ms() const {
    std::vector<double> times = step_times_;
    std::sort(times.begin(), times.end());
    return times.empty() ? 0 : times[times.size() / 2];
  }
  [[nodiscard]] double seconds() const { return state_.seconds_before + papers::seconds_since(start_); }
  [[nodiscard]] const std::vector<double>& validation() const { return state_.validation; }
  [[nodiscard]] const std::vector<double>& loss() const { return state_.loss; }
  /// Of each layer's routing, between the last two evaluations.
  [[nodiscard]] const std::vector<double>& fluctuation() const { return state_.fluctuation; }

 private:
  /// What a checkpoint keeps.
  struct State {
    Index step = 0;
    double loss_sum = 0, seconds_before = 0;
    std::vector<double> validation, loss, fluctuation;
    ChosenExperts chosen;  ///< at the last evaluation
  };

  const Settings& settings_;
  std::string row_, images_;
  Index seed_, first_step_ = 0;
  Extent extent_;
  State state_;
  papers::Clock::time_point start_ = papers::Clock::now();
  std::vector<double> step_times_;
};

}  // namespace vision
