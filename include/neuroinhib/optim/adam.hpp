#pragma once

#include <cmath>
#include <vector>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/core/parameters.hpp>

namespace neuroinhib {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  bool decoupled = false;  ///< AdamW (Loshchilov and Hutter 2019): decay the weights, not the gradient
};

[[nodiscard]] inline AdamOptions adamw(double learning_rate, double weight_decay = 0.01) {
  return {.learning_rate = learning_rate, .weight_decay = weight_decay, .decoupled = true};
}

/// Adam (Kingma and Ba 2015) over the flat buffers, with torch.optim.Adam's rule and defaults.
template <class T>
class Adam {
 public:
  /// What a checkpoint keeps.
  struct State {
    std::vector<T> first, second;  ///< the moments, laid out as the parameters
    Index steps = 0;
  };

  /// Throws ConfigError for options outside their range.
  Adam(const Parameters<T>& parameters, const AdamOptions& options) : options_(options) {
    if (!(options.learning_rate >= 0) || !(options.epsilon > 0) || !in_unit(options.beta1) || !in_unit(options.beta2) ||
        !(options.weight_decay >= 0))
      fail<ConfigError>("Adam", "rates ≥ 0, ε > 0 and both β in [0, 1)", "one outside its range",
                        "correct the options");
    state_.first.assign(static_cast<std::size_t>(parameters.size()), T{0});
    state_.second = state_.first;
  }

  /// One update from the gradients, at `factor` times the learning rate; then the gradients start from zero again.
  void step(Cpu<T>& cpu, Parameters<T>& parameters, double factor = 1) {
    ++state_.steps;
    const double rate = options_.learning_rate * factor, steps = static_cast<double>(state_.steps);
    const T size = static_cast<T>(rate / (1 - std::pow(options_.beta1, steps)));
    const T root = static_cast<T>(1 / std::sqrt(1 - std::pow(options_.beta2, steps)));
    const T beta1 = static_cast<T>(options_.beta1), beta2 = static_cast<T>(options_.beta2);
    const T epsilon = static_cast<T>(options_.epsilon);
    const T decay = static_cast<T>(options_.decoupled ? 0 : options_.weight_decay);
    const T keep = static_cast<T>(options_.decoupled ? 1 - rate * options_.weight_decay : 1);
    T* const __restrict value = parameters.values().data;
    const T* const __restrict gradient = parameters.gradients().data;
    T* const __restrict first = state_.first.data();
    T* const __restrict second = state_.second.data();
    cpu.parallel_blocks(parameters.size(), kBlock, [=](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        const T g = gradient[i] + decay * value[i];
        first[i] = beta1 * first[i] + (1 - beta1) * g;
        second[i] = beta2 * second[i] + (1 - beta2) * g * g;
        value[i] = keep * value[i] - size * first[i] / (std::sqrt(second[i]) * root + epsilon);
      }
    });
    parameters.zero_gradients();
  }

  [[nodiscard]] State& state() { return state_; }
  [[nodiscard]] const AdamOptions& options() const { return options_; }

 private:
  static constexpr Index kBlock = 16384;
  static bool in_unit(double beta) { return beta >= 0 && beta < 1; }

  AdamOptions options_;
  State state_;
};

}  // namespace neuroinhib
