#include "run_log.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "../../job.hpp"

namespace mixed_numbers {

nlohmann::json described(const Settings& settings, const std::string& source, const std::string& data) {
  return {{"key", settings.key() + ", data " + data},
          {"data", source},
          {"recipe", settings.recipe},
          {"squares", settings.squares},
          {"epochs", settings.epochs},
          {"samples", settings.samples},
          {"batch", settings.batch},
          {"learning_rate", settings.learning_rate}};
}

ProgressLine::ProgressLine(std::string label, Index epochs)
    : label_(std::move(label)), epochs_(epochs), terminal_(isatty(STDERR_FILENO) == 1) {}

void ProgressLine::step(Index epoch, double images_per_second, double seconds_left, double validation) {
  if (!terminal_ || seconds_since(shown_) < 0.5) return;
  shown_ = Clock::now();
  std::fprintf(papers::job().progress(), "\r%s", text(epoch, images_per_second, seconds_left, validation).c_str());
}

void ProgressLine::epoch(Index epoch, double images_per_second, double seconds_left, double validation) const {
  if (!terminal_)
    std::fprintf(papers::job().progress(), "%s\n", text(epoch, images_per_second, seconds_left, validation).c_str());
}

void ProgressLine::clear() const {
  if (terminal_) std::fprintf(papers::job().progress(), "\r%*s\r", 100, "");
}

std::string ProgressLine::text(Index epoch, double images_per_second, double seconds_left, double validation) const {
  char line[160];
  std::snprintf(line, sizeof line, "%s  epoch %td/%td  %.0f images/s  %.0f s left  validation %.1f %%  ",
                label_.c_str(), epoch + 1, epochs_, images_per_second, seconds_left, 100 * validation);
  return line;
}

RunLog::RunLog(const Settings& settings, std::string row, Index seed, std::string data)
    : settings_(settings),
      row_(std::move(row)),
      data_(std::move(data)),
      seed_(seed),
      line_(settings.recipe + " " + row_ + ", seed " + std::to_string(seed), settings.epochs) {}

std::string RunLog::configuration() const {
  return "row " + row_ + ", seed " + std::to_string(seed_) + ", " + settings_.key() + ", data " + data_;
}

std::string RunLog::save() const {
  return papers::storable({{"epoch", state_.epoch},
                           {"images", state_.images},
                           {"steps", state_.steps},
                           {"loss_sum", state_.loss_sum},
                           {"seconds", clock_.seconds()},
                           {"validation", state_.validation},
                           {"digits", state_.digits},
                           {"squares", state_.squares},
                           {"loss", state_.loss},
                           {"of_squares", state_.of_squares}})
      .dump();
}

void RunLog::load(const papers::Notes& notes) {
  State state;
  state.epoch = notes.count("epoch", 0, settings_.epochs);
  state.images = notes.count("images", 0, std::max(settings_.samples, settings_.batch));
  state.steps = notes.count("steps", state.images > 0 ? 1 : 0, state.images);
  state.loss_sum = notes.number("loss_sum");
  const double seconds = notes.number("seconds");
  state.validation = notes.numbers("validation", state.epoch, state.epoch);
  state.digits = notes.numbers("digits", state.epoch, state.epoch);
  state.squares = notes.numbers("squares", state.epoch, state.epoch);
  state.loss = notes.numbers("loss", state.epoch, state.epoch);
  state.of_squares = notes.numbers("of_squares", 10 * state.epoch, 10 * state.epoch);
  state_ = std::move(state);
  clock_ = papers::RunClock(seconds);
}

void RunLog::advance(const papers::Steps& steps) {
  state_.steps += steps.count;
  state_.images += steps.numbers;
  state_.loss_sum = steps.loss_sum;
  images_of_call_ += steps.numbers;
  all_images_ = steps.all;
  clock_.advance(steps);
  const auto [rate, left] = speed();
  line_.step(state_.epoch, rate, left, last_validation());
}

void RunLog::end_epoch(const Accuracy& validation) {
  state_.loss.push_back(state_.loss_sum / static_cast<double>(state_.steps));
  state_.validation.push_back(validation.all);
  state_.digits.push_back(validation.digits);
  state_.squares.push_back(validation.squares);
  state_.of_squares.insert(state_.of_squares.end(), validation.of_squares.begin(), validation.of_squares.end());
  const auto [rate, left] = speed();
  line_.epoch(state_.epoch, rate, left, validation.all);
  ++state_.epoch;
  state_.images = state_.steps = 0;
  state_.loss_sum = 0;
}

nlohmann::json RunLog::result(const Accuracy& test, Index samples) {
  line_.clear();
  return {{"row", row_},
          {"recipe", settings_.recipe},
          {"seed", seed_},
          {"epochs", settings_.epochs},
          {"samples", samples},
          {"test", test.all},
          {"digits", test.digits},
          {"squares", test.squares},
          {"of_squares", test.of_squares},
          {"validation", last_validation()},
          {"seconds", clock_.seconds()},
          {"step_ms", clock_.step_ms()},
          {"validation_curve", state_.validation},
          {"digits_curve", state_.digits},
          {"squares_curve", state_.squares},
          {"of_squares_by_epoch", state_.of_squares},
          {"loss_curve", state_.loss}};
}

std::pair<double, double> RunLog::speed() const {
  const double rate = static_cast<double>(images_of_call_) / clock_.of_call();
  const Index left = (settings_.epochs - state_.epoch) * all_images_ - state_.images;
  return {rate, rate > 0 ? static_cast<double>(left) / rate : 0};
}

}  // namespace mixed_numbers
