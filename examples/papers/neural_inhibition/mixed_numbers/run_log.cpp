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
  return nlohmann::json{{"epoch", epoch_},       {"images", images_},    {"steps", steps_},
                        {"loss_sum", loss_sum_}, {"seconds", seconds()}, {"validation", validation_},
                        {"digits", digits_},     {"squares", squares_},  {"loss", loss_}}
      .dump();
}

void RunLog::load(const std::string& text) {
  const auto state = nlohmann::json::parse(text);
  epoch_ = state.at("epoch");
  images_ = state.at("images");
  steps_ = state.at("steps");
  loss_sum_ = state.at("loss_sum");
  seconds_before_ = state.at("seconds");
  validation_ = state.at("validation").get<std::vector<double>>();
  digits_ = state.at("digits").get<std::vector<double>>();
  squares_ = state.at("squares").get<std::vector<double>>();
  loss_ = state.at("loss").get<std::vector<double>>();
}

void RunLog::advance(Index steps, double milliseconds, Index images, Index all, double loss_sum) {
  steps_ += steps;
  step_times_.push_back(milliseconds);
  images_ += images;
  images_of_call_ += images;
  all_images_ = all;
  loss_sum_ = loss_sum;
  const auto [rate, left] = speed();
  line_.step(epoch_, rate, left, last_validation());
}

void RunLog::end_epoch(const Accuracy& validation) {
  loss_.push_back(loss_sum_ / static_cast<double>(steps_));
  validation_.push_back(validation.all);
  digits_.push_back(validation.digits);
  squares_.push_back(validation.squares);
  const auto [rate, left] = speed();
  line_.epoch(epoch_, rate, left, validation.all);
  ++epoch_;
  images_ = steps_ = 0;
  loss_sum_ = 0;
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
          {"digits_curve", digits_},
          {"squares_curve", squares_},
          {"loss_curve", loss_}};
}

std::pair<double, double> RunLog::speed() const {
  const double rate = static_cast<double>(images_of_call_) / seconds_since(start_);
  const Index left = (settings_.epochs - epoch_) * all_images_ - images_;
  return {rate, rate > 0 ? static_cast<double>(left) / rate : 0};
}

}  // namespace mixed_numbers
