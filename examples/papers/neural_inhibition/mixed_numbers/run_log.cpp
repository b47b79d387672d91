#include "run_log.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace mixed_numbers {

ProgressLine::ProgressLine(std::string label, Index epochs)
    : label_(std::move(label)), epochs_(epochs), terminal_(isatty(STDERR_FILENO) == 1) {}

void ProgressLine::step(Index epoch, double images_per_second, double seconds_left, double validation) {
  if (!terminal_ || seconds_since(shown_) < 0.5) return;
  shown_ = Clock::now();
  std::fprintf(stderr, "\r%s", text(epoch, images_per_second, seconds_left, validation).c_str());
}

void ProgressLine::epoch(Index epoch, double images_per_second, double seconds_left, double validation) const {
  if (!terminal_) std::fprintf(stderr, "%s\n", text(epoch, images_per_second, seconds_left, validation).c_str());
}

void ProgressLine::clear() const {
  if (terminal_) std::fprintf(stderr, "\r%*s\r", 100, "");
}

std::string ProgressLine::text(Index epoch, double images_per_second, double seconds_left, double validation) const {
  char line[160];
  std::snprintf(line, sizeof line, "%s  epoch %td/%td  %.0f images/s  %.0f s left  validation %.1f %%  ",
                label_.c_str(), epoch + 1, epochs_, images_per_second, seconds_left, 100 * validation);
  return line;
}

RunLog::RunLog(const Settings& settings, std::string row, Index seed)
    : settings_(settings),
      row_(std::move(row)),
      seed_(seed),
      line_(settings.recipe + " " + row_ + ", seed " + std::to_string(seed), settings.epochs) {}

std::string RunLog::configuration() const {
  return "row " + row_ + ", seed " + std::to_string(seed_) + ", " + settings_.key();
}

std::string RunLog::save() const {
  return nlohmann::json{{"epoch", epoch_}, {"seconds", seconds()}, {"validation", validation_}, {"loss", loss_}}.dump();
}

void RunLog::load(const std::string& text) {
  const auto state = nlohmann::json::parse(text);
  epoch_ = first_epoch_ = state.at("epoch");
  seconds_before_ = state.at("seconds");
  validation_ = state.at("validation").get<std::vector<double>>();
  loss_ = state.at("loss").get<std::vector<double>>();
}

void RunLog::step(double milliseconds, double share, Index images) {
  step_times_.push_back(milliseconds);
  const auto [rate, left] = speed(static_cast<double>(epoch_ - first_epoch_) + share, images);
  line_.step(epoch_, rate, left, last_validation());
}

void RunLog::end_epoch(double loss, double validation, Index images) {
  loss_.push_back(loss);
  validation_.push_back(validation);
  const auto [rate, left] = speed(static_cast<double>(epoch_ - first_epoch_) + 1, images);
  line_.epoch(epoch_, rate, left, validation);
  ++epoch_;
}

nlohmann::json RunLog::result(const Accuracy& test, Index samples) {
  line_.clear();
  std::sort(step_times_.begin(), step_times_.end());
  return {{"row", row_},
          {"recipe", settings_.recipe},
          {"seed", seed_},
          {"epochs", settings_.epochs},
          {"samples", samples},
          {"test", test.all},
          {"digits", test.digits},
          {"squares", test.squares},
          {"validation", last_validation()},
          {"seconds", seconds()},
          {"step_ms", step_times_.empty() ? 0.0 : step_times_[step_times_.size() / 2]},
          {"validation_curve", validation_},
          {"loss_curve", loss_}};
}

std::pair<double, double> RunLog::speed(double epochs, Index images) const {
  const double passed = seconds_since(start_), rest = static_cast<double>(settings_.epochs - first_epoch_) - epochs;
  return {epochs * static_cast<double>(images) / passed, passed / epochs * rest};
}

}  // namespace mixed_numbers
